"""What the commands about incidents share: reading them from Kafka, and writing acts."""

from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from cli.kafka import client_properties, write
from cli.releasing import now_ms, read_releases, signing_key
from contracts.alerts import Alert
from contracts.errors import ModelRejected, UserError
from contracts.incidents import NEXT, IncidentAct
from contracts.settings import Settings
from contracts.topics import INCIDENT_ACTS, MODEL_ALERTS, SECURITY_ALERTS
from models.acts import Witnesses, sign_act
from models.release_log import ReleaseLog
from models.roots import read_root
from monitoring.incidents import Acted, Incident, Told, gather, is_torn
from monitoring.reader import TopicReader


@dataclass(frozen=True)
class IncidentLog:
    """The incidents, the newest first, and the release log beside them."""

    incidents: list[Incident]
    releases: ReleaseLog
    witnesses: Witnesses

    def find(self, beginning: str) -> Incident:
        """Return the incident whose id begins so; raises `UserError` unless it is one."""
        found = [each for each in self.incidents if each.id.startswith(beginning)]
        if len(found) != 1:
            raise UserError(
                f"{beginning}: expected the id of one incident, or its beginning, got {len(found)}; "
                "`cardiosentry incidents list --all` has them"
            )
        return found[0]


def read_incidents(settings: Settings) -> IncidentLog:
    """Read alerts, acts and the release log; says on standard error which records it leaves out."""
    releases = read_releases(settings)
    witnesses = Witnesses(read_root(Path(settings.keys)))
    witnesses.follow(releases)
    acts: list[Acted] = []
    with _reader(settings, INCIDENT_ACTS.name) as reader:
        for message in reader.until_end():
            try:
                written_ms = message.timestamp()[1]
                acts.append((*witnesses.verify(message.value() or b"", written_ms), written_ms))
            except ModelRejected as rejected:
                click.echo(f"left out {INCIDENT_ACTS.name}/0/{message.offset()}: {rejected}", err=True)
    alerts, kept_since_ms = _alerts(settings)
    found = gather(alerts, acts)
    incidents = [each for each in found if not is_torn(each, kept_since_ms.get(each.first.topic, 0), now_ms())]
    gone = {act.incident for act, *_ in acts} - {each.id for each in incidents}
    if left_out := max(len(gone), len(found) - len(incidents)):
        click.echo(f"left out {left_out} incidents whose first alerts Kafka no longer keeps", err=True)
    return IncidentLog(incidents, releases, witnesses)


def act(settings: Settings, beginning: str, key: Path | None, done: IncidentAct) -> None:
    """Sign an act about the incident whose id begins so, and write it; `done` has any incident's id."""
    signer = signing_key(settings, key)
    log = read_incidents(settings)
    incident = log.find(beginning)
    if done.act not in NEXT[incident.state]:
        raise UserError(
            f"incident {incident.id}: expected one of {', '.join(NEXT[incident.state])} while it is {incident.state}, "
            f"got {done.act}"
        )
    done = msgspec.structs.replace(done, incident=incident.id, created_at=now_ms())
    signed = sign_act(done, signer)
    log.witnesses.verify(signed, done.created_at)  # as every reader will
    write(settings, INCIDENT_ACTS, [(incident.id.encode(), signed)], "the act")
    incident.do(done, "", done.created_at)
    click.echo(f"incident {incident.id}: {incident.state}")


def _alerts(settings: Settings) -> tuple[list[Told], dict[str, int]]:
    """Return all alerts and, by topic, since when its alerts are kept, where older ones are deleted by now."""
    decode = msgspec.json.Decoder(Alert).decode
    found: list[Told] = []
    kept_since_ms: dict[str, int] = {}
    for topic in (SECURITY_ALERTS.name, MODEL_ALERTS.name):
        with _reader(settings, topic) as reader:
            places = reader.places()
            deleted = any(start for start, _ in places.values())
            for message in reader.until_end(places):
                origin = f"{topic}/{message.partition()}/{message.offset()}"
                try:
                    told = Told(decode(message.value() or b""), origin)
                    if told.began_ms <= told.at_ms:
                        found.append(told)
                        if deleted:
                            kept_since_ms.setdefault(topic, told.at_ms)
                except (ValueError, RecursionError, OverflowError):  # msgspec's errors, and times that are none
                    click.echo(f"left out {origin}: expected an alert, got something else", err=True)
    return found, kept_since_ms


def _reader(settings: Settings, topic: str) -> TopicReader:
    return TopicReader(client_properties(settings), [settings.topic_prefix + topic], beginning=True)
