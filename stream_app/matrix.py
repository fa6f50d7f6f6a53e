"""Events in, their features as one matrix out."""

from itertools import chain

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.events import Event


def to_matrix(events: list[Event], features: int) -> npt.NDArray[np.float64]:
    """Return the features of events, shape (n, features) float64, NaN where missing."""
    rows = map(msgspec.structs.astuple, [event.features for event in events])  # type: ignore[attr-defined]  # typed by the table
    flat = np.fromiter(chain.from_iterable(rows), np.float64, features * len(events))  # None becomes NaN
    return flat.reshape(len(events), features)
