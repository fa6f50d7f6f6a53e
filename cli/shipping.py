"""What `cardiosentry ship` needs of the other packages: the topics' identities, and who may sign what."""

import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import KafkaException, TopicCollection, Uuid

from cli.embedded import is_embedded
from cli.kafka import connect
from cli.releasing import now_ms, read_releases
from contracts.access import SHIPPER
from contracts.errors import ModelRejected, UserError
from contracts.refusals import said
from contracts.settings import Settings
from contracts.topics import INCIDENT_ACTS, Topic
from models.acts import Witnesses
from models.release_log import ReleaseLog
from models.roots import read_root
from monitoring.elastic.audit import Judge, Judged

_TIMEOUT_S = 10.0
_NO_IDENTITY = str(Uuid(0, 0))
_ASK_AGAIN_S = 60.0  # junk must not have the log read again and again
_APART_MS = 60_000  # as far as the broker's clock may be behind ours


def topic_identities(settings: Settings) -> dict[str, str]:
    """Return the UUID of each shipped topic by its name; on the embedded broker, which has none, the cluster's id."""
    names = [settings.topic_prefix + topic.name for topic in SHIPPER.reads]
    client, found = connect(settings)
    cluster_id = found.cluster_id or ""
    if is_embedded(cluster_id):
        return dict.fromkeys(names, cluster_id)
    identities = {}
    for name, described in client.describe_topics(TopicCollection(names), request_timeout=_TIMEOUT_S).items():
        try:
            identities[name] = str(described.result().topic_id)
        except KafkaException as error:
            why = said(error.args[0].name(), error.args[0].str())
            raise UserError(f"topic {name}: expected its description, the broker said: {why}") from None
        if identities[name] == _NO_IDENTITY:
            raise UserError(
                f"topic {name}: expected a broker that gives it a UUID, as Kafka does from 2.8 on; got none"
            )
    return identities


def new_judge(settings: Settings, read: Callable[[Settings], ReleaseLog] = read_releases) -> Judge:
    """Return what judges the records of model-releases, from the first, as workers do, and acts on incidents.

    `read` reads model-releases to its end.
    """
    first = read_root(Path(settings.keys))
    log, witnesses = ReleaseLog(first), Witnesses(first)
    known_ms, asked = float("-inf"), float("-inf")

    def is_known(content: bytes, written_ms: int) -> bool:
        """Whether it is sure who may have signed an act: what is shipped stays, and a later trust root may be unread.

        Acts and releases come from two topics, in whatever order they are fetched.
        """
        try:
            witnesses.check(content, written_ms)
        except ModelRejected:  # the signer may have come with a trust root that is not read here yet
            return time.monotonic() - asked < _ASK_AGAIN_S
        return written_ms < known_ms  # or he may have left by one

    def judge_act(content: bytes, written_ms: int) -> Judged:
        nonlocal known_ms, asked
        witnesses.follow(log)
        if not is_known(content, written_ms):
            known_ms, asked = now_ms() - _APART_MS, time.monotonic()
            witnesses.follow(read(settings))
        try:
            act, by = witnesses.verify(content, written_ms)
        except ModelRejected as rejected:
            return Judged(None, fault=str(rejected))
        return Judged(act, (by,))

    def judge(topic: Topic, content: bytes, written_ms: int) -> Judged:
        if topic is INCIDENT_ACTS:
            return judge_act(content, written_ms)
        try:
            entry = log.read(content)
        except ModelRejected as rejected:
            return Judged(None, fault=str(rejected))
        if entry is None:
            return Judged(None, fault="expected a statement once, this one came before")
        return Judged(entry.statement, entry.signed_by)

    return judge
