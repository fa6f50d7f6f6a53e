"""A sample of events: each distinct one once, with the same chance, however they came and however many."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contracts.codec import decoder
from contracts.events import Event, event_type
from contracts.heart_disease import HEART_DISEASE
from models.event_sample import Events, EventSample
from stream_app.matrix import to_matrix
from tests.producers.support import AT_MS, synthetic

MOST = 50
_DECODE = decoder(event_type(HEART_DISEASE))
EVENTS: list[Event] = [_DECODE(record.value or b"") for record in synthetic().take(4000, AT_MS)]


def values(events: Sequence[Event]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return to_matrix(list(events), len(HEART_DISEASE.names))


def sampled(*batches: Sequence[Event], most: int = MOST) -> Events:
    sample = EventSample(most, len(HEART_DISEASE.features))
    for batch in batches:
        sample.add(batch, values(batch))
    return sample.events


def test_what_fits_is_kept_whole_each_event_once_with_what_belongs_to_it() -> None:
    shown = EVENTS[:40]
    found = sampled(shown, shown[10:], shown[:5])
    order = np.argsort([hash(event.event_id) for event in shown])
    assert found.ids.tolist() == [hash(shown[at].event_id) for at in order]
    assert found.patients.tolist() == [hash(shown[at].patient_id) for at in order]
    assert found.sources.tolist() == [shown[at].source for at in order]
    assert found.observed_at.tolist() == [AT_MS] * 40
    np.testing.assert_array_equal(found.values, values([shown[at] for at in order]))


@given(st.lists(st.integers(0, 199), max_size=600), st.integers(1, 80))
def test_order_repeats_and_batches_change_nothing(shown: list[int], size: int) -> None:
    events = [EVENTS[at] for at in shown]
    found = sampled(*(events[at : at + size] for at in range(0, len(events), size)))
    lowest = sorted({hash(event.event_id) for event in events})[:MOST]
    assert found.ids.tolist() == lowest
    by_id = {hash(event.event_id): event for event in events}
    np.testing.assert_array_equal(found.values, values([by_id[each] for each in lowest]))


def test_early_and_late_events_have_the_same_chance() -> None:
    """1,000 of 4,000: of either half 500 are due, 6 standard deviations are 82."""
    found = set(sampled(*(EVENTS[at : at + 100] for at in range(0, 4000, 100)), most=1000).ids.tolist())
    early = sum(hash(event.event_id) in found for event in EVENTS[:2000])
    assert len(found) == 1000
    assert 418 <= early <= 582


def test_an_event_that_is_sent_again_and_again_counts_once() -> None:
    flood = [EVENTS[0]] * 300
    assert len(sampled(*[flood] * 5)) == 1
    assert len(sampled(EVENTS[:MOST], *[flood] * 5)) == MOST
