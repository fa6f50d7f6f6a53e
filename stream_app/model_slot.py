"""The model that scores now. It is replaced whole, so that a batch is scored by one model from end to end."""

from collections.abc import Callable
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
    """Holds the champion; None while there is none that may score. Written by one thread, read by another.

    `on_change` is told of each swap, in the thread that makes it.
    """

    def __init__(self, on_change: Callable[[LoadedModel | None], None] = lambda _: None) -> None:
        self._on_change = on_change
        self._champion: LoadedModel | None = None

    @property
    def champion(self) -> LoadedModel | None:
        return self._champion

    def put(self, champion: LoadedModel | None) -> None:
        """Replace the champion: the batch that is being scored ends with the old one, the next begins with this."""
        self._champion = champion
        self._on_change(champion)
