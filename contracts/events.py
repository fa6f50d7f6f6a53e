"""The records on the wire: JSON, one object a record, times in UTC epoch milliseconds."""

from typing import Literal

import msgspec

from contracts.features import FeatureTable
from contracts.identifiers import EVENT_ID, PATIENT_ID, SOURCE

# gc=False: a struct that holds no cycle need not be walked by the collector, which is worth 20% of the worker's rate.


class Event(msgspec.Struct, gc=False, frozen=True, forbid_unknown_fields=True):
    """A patient event (topic patient-events, key patient_id) but for its features, which a feature table types."""

    event_id: str
    patient_id: str
    source: str
    observed_at: int


class Outcome(msgspec.Struct, gc=False, frozen=True, forbid_unknown_fields=True):
    """The diagnosis that an event turned out to have (topic patient-outcomes, key patient_id)."""

    event_id: str
    patient_id: str
    source: str
    diagnosis: Literal[0, 1]
    recorded_at: int


class ModelRef(msgspec.Struct, frozen=True):
    """Which model made a prediction; the digest names the exact bytes."""

    name: str
    version: str
    digest: str


Decision = Literal["positive", "negative", "insufficient_data"]


class Prediction(msgspec.Struct, gc=False, frozen=True):
    """What the model says of one event (topic predictions, key patient_id).

    `source` is the event's. `probability` is of disease (a narrowing over 50%), higher is worse; null with
    "insufficient_data". `model` is a `ModelRef`, kept as encoded JSON because it is the same for every record of a
    model. `missing` counts the features that were imputed. `anomaly` is the share of the model's reference patients who
    are less unusual than this one, all features together; null with "insufficient_data", without a reference, and of
    models on trial.
    """

    event_id: str
    patient_id: str
    source: str
    model: msgspec.Raw
    role: str
    probability: float | None
    decision: Decision
    threshold: float
    authenticated: bool
    missing: int
    anomaly: float | None
    observed_at: int
    scored_at: int


class DecodedPrediction(Prediction, frozen=True):
    """A prediction as a reader sees it."""

    model: ModelRef  # type: ignore[assignment]  # narrower on purpose: the same JSON, decoded


def features_type(table: FeatureTable) -> type[msgspec.Struct]:
    """Return the struct type of an event's `features` object: every name of the table required, each number or null."""
    return msgspec.defstruct(
        "Features",
        [(name, float | None) for name in table.names],
        gc=False,
        frozen=True,
        forbid_unknown_fields=True,
    )


def event_type(table: FeatureTable) -> type[Event]:
    """Return the struct type of a patient event under `table`."""
    built = msgspec.defstruct(
        "PatientEvent",
        [("features", features_type(table))],
        bases=(Event,),
        gc=False,
        frozen=True,
        forbid_unknown_fields=True,
    )
    assert issubclass(built, Event)  # noqa: S101 - for the type checker: `bases` says so
    return built


IDENTIFIER_PATTERNS = {"event_id": EVENT_ID, "patient_id": PATIENT_ID, "source": SOURCE}
