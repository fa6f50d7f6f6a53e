"""Whether an attack that began now would be told: workers are there, and what waits for them moves."""

from collections.abc import Mapping, Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

Place = tuple[str, int]

STUCK_S = 120.0
"""So long records may wait while none of their partition is taken."""

_FEW = 10
"""So many records may wait for ever: the marks of transactions have offsets too, and nobody reads them."""

_TIMEOUT_S = 5.0


class Progress:
    """Remembers since when records wait at the same place of a partition.

    >>> progress = Progress()
    >>> [progress.stuck({("patient-events", 0): (5, 500)}, at_s) for at_s in (0, 100, 130)]
    ['', '', 'patient-events/0: 495 records wait, none was taken for 130 s']
    """

    def __init__(self) -> None:
        self._since: dict[Place, tuple[int, float]] = {}

    def stuck(self, places: Mapping[Place, tuple[int, int]], now_s: float) -> str:
        """Return what does not move, empty if all does; `places` are positions and ends, `now_s` any steady clock."""
        waiting = {place: at for place, at in places.items() if at[1] - at[0] > _FEW}
        self._since = {place: since for place, since in self._since.items() if place in waiting}
        for place, (position, end) in waiting.items():
            before, since_s = self._since.get(place, (-1, now_s))
            if position != before:
                self._since[place] = position, now_s
            elif now_s - since_s > STUCK_S:
                waited = f"{end - position} records wait, none was taken for {now_s - since_s:.0f} s"
                return f"{place[0]}/{place[1]}: {waited}"
        return ""


class Stream:
    """Asks the broker about the workers' group and what waits for it in `topics`."""

    def __init__(self, admin: AdminClient, group: str, topics: Sequence[str]) -> None:
        self._admin, self._group, self._topics = admin, group, topics
        self._progress = Progress()

    def dead(self, own: Mapping[Place, int], now_s: float) -> str:
        """Return why no attack would be told now, empty if one would.

        `own` are the places up to which alerts were read. Each of five questions takes up to 5 s where the broker does
        not answer.
        """
        try:
            if not self._members():
                return f"no worker is in the group {self._group}"
            return self._progress.stuck(self._places(own), now_s)
        except KafkaException as error:
            return f"Kafka: {error.args[0].str()}"

    def _members(self) -> int:
        found = self._admin.describe_consumer_groups([self._group], request_timeout=_TIMEOUT_S)[self._group]
        return len(found.result(_TIMEOUT_S + 1).members)

    def _places(self, own: Mapping[Place, int]) -> dict[Place, tuple[int, int]]:
        metadata = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        theirs = [(topic, each) for topic in self._topics if topic in metadata for each in metadata[topic].partitions]
        ends = self._offsets([*theirs, *own], OffsetSpec.latest())  # type: ignore[no-untyped-call]
        asked = ConsumerGroupTopicPartitions(self._group, [TopicPartition(*place) for place in theirs])
        (answer,) = self._admin.list_consumer_group_offsets([asked], request_timeout=_TIMEOUT_S).values()
        committed = {
            (each.topic, each.partition): each.offset for each in answer.result(_TIMEOUT_S + 1).topic_partitions
        }
        fresh = [place for place in theirs if committed.get(place, -1) < 0]
        starts = self._offsets(fresh, OffsetSpec.earliest()) if fresh else {}  # type: ignore[no-untyped-call]
        places = {place: (starts.get(place, committed.get(place, 0)), ends[place]) for place in theirs}
        return {**places, **{place: (position, ends[place]) for place, position in own.items()}}

    def _offsets(self, places: Sequence[Place], which: OffsetSpec) -> dict[Place, int]:
        wanted = {TopicPartition(*place): which for place in places}
        found = self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_TIMEOUT_S
        )
        return {(each.topic, each.partition): end.result(_TIMEOUT_S + 1).offset for each, end in found.items()}
