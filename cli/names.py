"""Whether workers' names are free in the group."""

import logging
import time
from collections.abc import Set

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from cli.embedded import is_embedded
from cli.kafka import connect
from contracts.errors import UserError
from contracts.refusals import explain, said
from contracts.settings import Settings
from stream_app.slot import SESSION_TIMEOUT_MS

log = logging.getLogger("cardiosentry")

_ANSWER_S = 10.0
_LONGER_S = 4.0  # than the session: the broker looks at its clock now and then
_ASK_S = 0.5


def require_names(settings: Settings, names: Set[str]) -> None:
    """Raise `UserError` if workers of these names run elsewhere: ours would throw them out of the group.

    Blocks while the session of a predecessor that was killed lasts: until then the broker cannot tell it from one that
    lives.
    """
    client, found = connect(settings)
    if is_embedded(found.cluster_id):  # it describes no groups
        return
    session_s = int(settings.kafka.get("session.timeout.ms", SESSION_TIMEOUT_MS)) / 1000
    deadline = time.monotonic() + session_s + _LONGER_S
    told = False
    while taken := _members(client, settings.group, deadline) & names:
        if time.monotonic() > deadline:
            raise UserError(
                f"setting instance: expected that nobody is {', '.join(sorted(taken))} in the group, another "
                "`cardiosentry serve` is; give each its own `instance`, stable over restarts, or stop the other"
            )
        if not told:
            log.info("waiting for %s to leave the group, or for the end of its session", ", ".join(sorted(taken)))
            told = True
        time.sleep(_ASK_S)


def _members(client: AdminClient, group: str, deadline: float) -> set[str]:
    """Return the names in the group; ask again until `deadline` while its coordinator is on the way."""
    while True:
        try:
            found = client.describe_consumer_groups([group], request_timeout=_ANSWER_S)[group].result()
            return {member.group_instance_id for member in found.members}
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            if error.code() == KafkaError.GROUP_ID_NOT_FOUND:  # so newer brokers call one that nobody joined yet
                return set()
            if explain(error.name(), error.str()) or time.monotonic() > deadline:
                raise UserError(f"group {group}: {said(error.name(), error.str())}") from None
        time.sleep(_ASK_S)
