"""The models that score now. They are replaced whole, so that a batch is scored by one set from end to end."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from contracts.events import Event
from contracts.reference import ReferenceStatistics
from contracts.releases import Baseline, Release
from models.sketch import Floats, Sketcher
from models.verify import VerifiedBundle
from stream_app.decode import Decoder
from stream_app.detectors.known import PatientColumns
from stream_app.detectors.predicted import Answer, Answers
from stream_app.detectors.singles import Singles
from stream_app.score import ScoreStage


@dataclass(frozen=True)
class LoadedModel:
    """A release, verified, loaded and warm: the decoder of its features and the stage that scores them.

    `baseline` is what its stream is compared with, None for the reference in its own bundle.
    """

    release: Release
    bundle: VerifiedBundle
    decoder: Decoder[Event]
    score: ScoreStage
    baseline: Baseline | None = None

    @property
    def baseline_version(self) -> int:
        """Names the reference: 0 is the bundle's own."""
        return self.baseline.version if self.baseline else 0

    @property
    def reference(self) -> ReferenceStatistics | None:
        """What drift is measured against; None where neither a person nor the model's maker gave anything."""
        return self.baseline.statistics if self.baseline else self.bundle.manifest.reference_statistics

    @cached_property
    def columns(self) -> PatientColumns:
        """What is remembered of its patients."""
        return PatientColumns(self.bundle.manifest.feature_table)

    @cached_property
    def singles(self) -> Singles:
        """What is odd about single events."""
        return Singles(self.bundle.manifest.feature_table)

    @cached_property
    def answers(self) -> Answers | None:
        """Makes what is remembered of predictions until their outcomes come; None where there is no reference."""
        reference = self.bundle.manifest.reference_statistics
        if reference is None or self.sketcher is None:
            return None
        return Answers(self.bundle.digest, self.sketcher, len(reference.outcomes.positive))

    def answer(self, values: Floats) -> list[Answer]:
        """See `stream_app.detectors.known.Reader`."""
        if self.answers is None or not len(values):
            return []
        return self.answers(self.score.probabilities(values))

    @cached_property
    def sketcher(self) -> Sketcher | None:
        """Makes sketches by the reference's columns; None where there is none."""
        return Sketcher(self.reference.columns) if self.reference else None


@dataclass(frozen=True, slots=True)
class Models:
    """The champion, None while there is none that may score, and the models on trial beside it."""

    champion: LoadedModel | None = None
    shadows: tuple[LoadedModel, ...] = ()


class ModelSlot:
    """Holds the models. Written by one thread, read by another.

    `on_change` is told of each swap, in the thread that makes it.
    """

    def __init__(self, on_change: Callable[[Models], None] = lambda _: None) -> None:
        self._on_change = on_change
        self._models = Models()

    @property
    def models(self) -> Models:
        return self._models

    def put(self, models: Models) -> None:
        """Replace the models: the batch that is being scored ends with the old ones, the next begins with these."""
        self._models = models
        self._on_change(models)
