"""A source whose events come late: told when the others' do not, and when it used to be in time."""

import pytest

from contracts.detection import Signals, SourceSignals
from stream_app.detectors.lateness import MAX_SOURCES, LateSources
from stream_app.detectors.rules import load_rules

AT_MS = 1_790_000_040_000  # a whole minute
RULE = load_rules().late
Late = dict[str, int]


def minutes(first: int, count: int, late: Late, scored: int = 60) -> list[Signals]:
    """Return signals, one a second: so many events a minute of each source, of which so many are late."""
    return [
        Signals(
            AT_MS + (first * 60 + second) * 1000,
            {
                source: SourceSignals({"scored": scored // 60, "late": of // 60}, {"late": [f"{source}-{second}"]})
                for source, of in late.items()
            },
        )
        for second in range(count * 60)
    ]


IN_TIME = {"icu": 0, "er": 0, "gp": 0}
BEHIND = {"icu": 60, "er": 0, "gp": 0}


def told(*streams: list[Signals]) -> list[str]:
    sources = LateSources(RULE)
    return [alert.labels["source"] for each in streams for signals in each for alert in sources.see(signals)]


def test_a_source_that_falls_behind_alone_is_told_with_its_counts_and_again_while_it_is() -> None:
    sources = LateSources(RULE)
    for signals in minutes(0, 5, IN_TIME):
        assert sources.see(signals) == []
    found = [alert for signals in minutes(5, 30, BEHIND) for alert in sources.see(signals)]
    assert found[0].labels == {
        "source": "icu",
        "seen": "300",
        "of_records": "300",
        "minutes": "5",
        "samples": "icu-297 icu-298 icu-299",
    }
    assert [alert.labels["minutes"] for alert in found] == ["5", "15", "25"]
    assert len({alert.event.id for alert in found}) == 3
    assert found[0].event.start == "2026-09-21T14:19:00.000Z"


CASES = {
    "in time": ([minutes(0, 30, IN_TIME)], []),
    "all late: the stream is behind": ([minutes(0, 5, IN_TIME), minutes(5, 30, dict.fromkeys(IN_TIME, 60))], []),
    "late from the first": ([minutes(0, 60, BEHIND)], []),
    "a backlog of minutes": ([minutes(0, 5, IN_TIME), minutes(5, 4, BEHIND), minutes(9, 30, IN_TIME)], []),
    "alone": ([minutes(0, 5, {"icu": 0}), minutes(5, 30, {"icu": 60})], []),
    "behind again": (
        [minutes(0, 5, IN_TIME), minutes(5, 6, BEHIND), minutes(11, 5, IN_TIME), minutes(16, 7, BEHIND)],
        ["icu", "icu"],
    ),
    "silent for a while": (
        [minutes(0, 5, IN_TIME), minutes(5, 3, BEHIND), minutes(8, 60, {"er": 0}), minutes(68, 4, BEHIND)],
        ["icu"],
    ),
}


@pytest.mark.parametrize(("streams", "expected"), CASES.values(), ids=CASES)
def test_only_a_source_that_differs_from_its_past_and_from_the_others_is_told(
    streams: list[list[Signals]], expected: list[str]
) -> None:
    assert told(*streams) == expected


def test_a_flood_of_sources_is_bounded() -> None:
    sources = LateSources(RULE)
    for number in range(2 * MAX_SOURCES):
        sources.see(Signals(AT_MS, {f"ward/{number}": SourceSignals({"scored": 1})}))
    assert len(sources) == MAX_SOURCES
