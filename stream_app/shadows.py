"""Models on trial: they score what the champion scored, in what time is left over, and can harm nothing."""

from collections.abc import Callable, Sequence
from queue import SimpleQueue

from contracts.events import Event
from contracts.releases import Release, Role
from stream_app.decode import Decoded
from stream_app.model_slot import LoadedModel

_MAX_CREDIT_S = 1.0  # quiet hours are not saved up


class Shadows:
    """Runs models on trial for no longer than `share` of the champion's time, and one batch.

    A batch for which there is no time is left out. `failed` gets the release of a model that raises and the error's
    type.
    """

    def __init__(self, share: float, clock_s: Callable[[], float], failed: SimpleQueue[tuple[Release, str]]) -> None:
        self._share = share
        self._clock_s = clock_s
        self._failed = failed
        self._credit_s = 0.0

    def __call__(
        self, shadows: Sequence[LoadedModel], decoded: Decoded[Event], champion_s: float, now_ms: int
    ) -> list[tuple[Role, list[bytes]]]:
        """Return each shadow's predictions of `decoded`, after the champion took `champion_s` seconds for them."""
        self._credit_s = min(self._credit_s + self._share * champion_s, _MAX_CREDIT_S)
        if self._credit_s <= 0:
            return []
        started = self._clock_s()
        made: list[tuple[Role, list[bytes]]] = []
        for shadow in shadows:
            try:
                predictions = shadow.score(decoded, now_ms).predictions
            except Exception as error:  # whatever it is, it is a trial's
                self._failed.put((shadow.release, type(error).__name__))  # its text may hold a patient's values
            else:
                made.append((shadow.release.role, predictions))
        self._credit_s -= self._clock_s() - started
        return made
