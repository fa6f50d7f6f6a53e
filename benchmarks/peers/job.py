"""The work that every contender but CardioSentry shares: event in, prediction of the same form out.

Decoding is strict and checks the hard ranges of the features, as CardioSentry's does. What the worker does beyond that
(forms of identifiers, code lists, the clock, MACs, quarantine, metrics) is left out here: the contenders do less.

It runs in the contenders' own environments: of ours it may import contracts alone, beside msgspec, numpy, onnxruntime.
"""

import hashlib
import os
import time
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
import onnxruntime
from msgspec.structs import astuple

from contracts.codec import decoder, encode
from contracts.events import Decision, Event, ModelRef, Prediction
from contracts.heart_disease import HEART_DISEASE

THRESHOLD = 0.5
ROLE = "champion"


class JobSettings(msgspec.Struct, frozen=True):
    """What a contender is told, each as the variable BENCH_… of the environment."""

    bootstrap: str
    input: str
    output: str
    group: str
    model: str  # the ONNX file
    scratch: str  # a directory of its own

    @classmethod
    def from_environ(cls) -> Self:
        return cls(**{name: os.environ[f"BENCH_{name.upper()}"] for name in cls.__struct_fields__})

    def to_environ(self) -> dict[str, str]:
        return {f"BENCH_{name.upper()}": value for name, value in msgspec.structs.asdict(self).items()}


class Job:
    """Scores events with the ONNX graph `model`: float32 (n, 13) in, probability of disease float32 (n, 1) out."""

    def __init__(self, model: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # as the worker does: a batch is too small to share out
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        self._model = msgspec.Raw(encode(ModelRef(HEART_DISEASE.name, "1.0.0", f"sha256:{digest}")))
        self._decode = decoder(_event_type())

    def one(self, value: bytes) -> bytes:
        """Return the prediction of one event."""
        event = self._decode(value)
        features = astuple(event.features)  # type: ignore[attr-defined]  # typed by the table
        probability = float(self._session.run(None, {self._input: np.array([features], np.float32)})[0][0, 0])
        return self._prediction(event, probability, features.count(None), int(time.time() * 1000))

    def batch(self, values: list[bytes]) -> list[bytes]:
        """Return the predictions of many events, in order."""
        decode = self._decode
        events = [decode(value) for value in values]
        width = len(HEART_DISEASE.names)
        rows = chain.from_iterable(map(astuple, [event.features for event in events]))  # type: ignore[attr-defined]
        matrix = np.fromiter(rows, np.float32, width * len(events)).reshape(-1, width)  # None becomes NaN
        probabilities = self._session.run(None, {self._input: matrix})[0][:, 0].tolist()
        missing = np.isnan(matrix).sum(axis=1).tolist()
        now_ms = int(time.time() * 1000)
        predict = self._prediction
        return [predict(e, p, m, now_ms) for e, p, m in zip(events, probabilities, missing, strict=True)]

    def _prediction(self, event: Event, probability: float, missing: int, now_ms: int) -> bytes:
        judged = missing <= HEART_DISEASE.max_missing
        decision: Decision = (
            "insufficient_data" if not judged else "positive" if probability >= THRESHOLD else "negative"
        )
        return encode(
            Prediction(
                event.event_id,
                event.patient_id,
                event.source,
                self._model,
                ROLE,
                probability if judged else None,
                decision,
                THRESHOLD,
                False,
                missing,
                None,
                event.observed_at,
                now_ms,
            )
        )


def _event_type() -> type[Event]:
    options: dict[str, Any] = {"gc": False, "frozen": True, "forbid_unknown_fields": True}
    fields = [
        (feature.name, Annotated[float, msgspec.Meta(ge=feature.hard[0], le=feature.hard[1])] | None)
        for feature in HEART_DISEASE.features
    ]
    features = msgspec.defstruct("Features", fields, **options)
    built = msgspec.defstruct("PatientEvent", [("features", features)], bases=(Event,), **options)
    assert issubclass(built, Event)
    return built
