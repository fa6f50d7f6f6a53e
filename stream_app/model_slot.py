"""The model that scores now. It is replaced whole, so that a batch is scored by one model from end to end."""

from dataclasses import dataclass

from contracts.events import Event
from contracts.releases import Release
from models.verify import VerifiedBundle
from stream_app.decode import Decoder
from stream_app.score import ScoreStage


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A release, verified, loaded and warm: the decoder of its features and the stage that scores them."""

    release: Release
    bundle: VerifiedBundle
    decoder: Decoder[Event]
    score: ScoreStage


class ModelSlot:
    """Holds the champion; None while there is none that may score. Written by one thread, read by another."""

    def __init__(self, champion: LoadedModel | None = None) -> None:
        self.champion = champion
