"""The process that ships: three lanes side by side, so that alerts wait for nobody, until it is told to stop."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elasticsearch import ApiError, Elasticsearch, TransportError

from contracts.errors import UserError
from contracts.topics import INCIDENT_ACTS, MODEL_ALERTS, RELEASES, SECURITY_ALERTS, SHIP_REJECTS
from monitoring.elastic.audit import Judge
from monitoring.elastic.bulk import Bulk, Stopped, back_off
from monitoring.elastic.client import explained, passes
from monitoring.elastic.lane import Lane, Route
from monitoring.elastic.records import Source, reader, sources
from monitoring.elastic.setup import require_fields, require_setup
from monitoring.elastic.streams import Names
from monitoring.meters import Meters

log = logging.getLogger("cardiosentry")

_TOLD_S = 60.0
_ASK_S = 30.0
_HANGS_S = 60.0  # a lane waits for the broker a third as long at most
_ALERTS = "alerts"


class Shipper:
    """Ships every topic under `prefix` but those that hold patients' features.

    `identities` asks for the identity of each topic by its name (see `Source`), `new_judge` makes what judges
    model-releases from its beginning. `group` stands before the lanes' names in their consumer groups. `beat` is called
    several times a second while all lanes work, or wait for Elasticsearch.
    """

    def __init__(
        self,
        client: Elasticsearch,
        properties: Mapping[str, Any],
        *,
        prefix: str,
        group: str,
        identities: Callable[[], Mapping[str, str]],
        new_judge: Callable[[], Judge],
        meters: Meters,
        beat: Callable[[], None],
    ) -> None:
        self._client, self._beat = client, beat
        self._names = Names(prefix)
        self.stop = threading.Event()
        self._ask, self._identities = identities, identities()
        found = sources(prefix, self._identities)
        self._lanes = [
            Lane(
                route,
                f"{group}-ship-{route.name}",
                dict(properties),
                Bulk(client, self.stop, refresh=route.name == _ALERTS),
                prefix + SHIP_REJECTS.name,
                self.stop,
            )
            for route in _routes(found, prefix, self._names, new_judge)
        ]
        self._failure: BaseException | None = None
        meters.add("cardiosentry_ship_records_total", lambda: {lane.name: lane.shipped for lane in self._lanes})
        meters.add("cardiosentry_ship_rejected_total", lambda: {lane.name: lane.rejected for lane in self._lanes})
        meters.add("cardiosentry_ship_gone_total", lambda: {lane.name: lane.gone for lane in self._lanes})
        meters.add("cardiosentry_ship_lag_records", lambda: {lane.name: lane.lag for lane in self._lanes})

    def run(self) -> None:
        """Block until `stop` is set; raises `UserError` where a lane cannot go on."""
        try:
            self._wait_for_setup()
        except Stopped:
            return
        works = [*(lane.run for lane in self._lanes), self._watch]
        threads = [threading.Thread(target=self._run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            self._look_on()
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
        self._tell()
        if self._failure is not None:
            raise self._failure

    def _look_on(self) -> None:
        told = time.monotonic()
        while not self.stop.wait(0.2):
            if time.monotonic() - min(lane.turned_at for lane in self._lanes) < _HANGS_S:
                self._beat()
            if time.monotonic() - told >= _TOLD_S:
                told = time.monotonic()
                self._tell()

    def _watch(self) -> None:
        """End once what was so at the start is no more."""
        while not self.stop.wait(_ASK_S):
            self._check_topics()
            self._check_fields()

    def _check_topics(self) -> None:
        """Raise `UserError` once a topic was made anew: what is read of it has ids of the old one, as if it were there.

        Whoever comes next ships it from its first record, since the commits of before are of another topic (`Lane`).
        """
        try:
            found = self._ask()
        except UserError as error:  # as while it is deleted, or the broker away
            log.warning("topics not known again_in_s=%.0f because=%r", _ASK_S, str(error))
            return
        for name, identity in found.items():
            if identity != self._identities[name]:
                raise UserError(f"topic {name}: expected the one of before, it was made anew; start the shipper again")

    def _check_fields(self) -> None:
        try:
            require_fields(self._client, self._names)
        except (ApiError, TransportError) as error:
            if not passes(error):
                raise explained(error) from None

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._failure = self._failure or error
            self.stop.set()

    def _wait_for_setup(self) -> None:
        for wait in back_off():
            self._beat()
            try:
                require_setup(self._client, self._names)
                require_fields(self._client, self._names)
                return
            except (ApiError, TransportError) as error:
                if not passes(error):
                    raise explained(error) from None
                log.warning("elasticsearch waits again_in_s=%.1f because=%s", wait, type(error).__name__)
            if self.stop.wait(wait):
                raise Stopped

    def _tell(self) -> None:
        shipped = sum(lane.shipped for lane in self._lanes)
        log.info("shipped records=%d rejected=%d", shipped, sum(lane.rejected for lane in self._lanes))


def _routes(found: Mapping[str, Source], prefix: str, names: Names, new_judge: Callable[[], Judge]) -> Sequence[Route]:
    alerts = (prefix + SECURITY_ALERTS.name, prefix + MODEL_ALERTS.name)
    audit = (prefix + RELEASES.name, prefix + INCIDENT_ACTS.name)
    rest = tuple(name for name in found if name not in (*alerts, *audit))

    def new_read() -> Any:
        return reader(found, names, new_judge())

    def route(name: str, topics: Sequence[str], *, from_beginning: bool = False) -> Route:
        return Route(name, {topic: found[topic].identity for topic in topics}, new_read, from_beginning)

    return route(_ALERTS, alerts), route("records", rest), route("audit", audit, from_beginning=True)
