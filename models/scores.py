"""From sums over a set of events to scores that mean the same for any number of events.

A statistic is a sum of squares of linear forms of the deviation d = seen - expected of an event's mean. Their null
distributions are weighted sums of chi-squared ones, and dependent. Their fourth root is nearly normal (Hawkins and
Wixley, The American Statistician 40, 1986), so mean and standard deviation, simulated at training for windows of
several sizes, turn it into a normal score.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from contracts.reference import ALL, WINDOW_GRID, Null

Floats = npt.NDArray[np.float64]


class Statistics:
    """Some statistics by `names`, with what is `expected` of an event's totals and their null distributions.

    `forms` (forms, totals) are the linear forms and `owners` (forms, statistics) of 0 and 1 says whose each is.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        expected: Floats,
        forms: Floats,
        owners: Floats,
        nulls: Mapping[str, Null],
        spacings: Sequence[float],
        window_events: int,
        population: int,
    ) -> None:
        self.names, self.expected = names, expected
        self.window_events, self.spacings = window_events, spacings
        self._population = population
        self._forms, self._owners = forms, owners
        of = [nulls[name] for name in names]
        self._mean = np.array([null.mean for null in of])
        self._sd = np.array([null.sd for null in of])
        self._rarity = Rarity(np.array([null.thresholds for null in of]), spacings)
        self._rarest = Rarity(np.log([spacings]), np.exp(nulls[ALL].thresholds).tolist())
        self._log_sizes = np.log(np.array(WINDOW_GRID) * window_events)

    def scores(self, totals: Floats, events: Floats) -> Floats:
        """Return the normal scores (sets, statistics) of sets of events: near 0 without a change, higher is further.

        `totals` (sets, totals) are sums and `events` (sets,) over how many events each.
        """
        deviations = totals / events[:, None] - self.expected
        squares = np.square(deviations @ self._forms.T) @ self._owners
        squares *= (events / (1 + events / self._population))[:, None]
        place = np.interp(np.log(events), self._log_sizes, np.arange(len(self._log_sizes)))
        below = np.minimum(place.astype(np.intp), len(self._log_sizes) - 2)
        part = place - below
        mean, sd = ((t[:, below] * (1 - part) + t[:, below + 1] * part).T for t in (self._mean, self._sd))
        found: Floats = (np.sqrt(np.sqrt(squares)) - mean) / sd
        return found

    def rarity(self, scores: Floats) -> Floats:
        """Return for `scores` (statistics,) the log of how many windows lie between two as high by chance."""
        return self._rarity(scores)

    def needed_rarity(self, log_spacing: float) -> float:
        """Return how rare one of the statistics must be for all together to keep the spacing."""
        return float(self._rarest(np.array([log_spacing]))[0])


class Rarity:
    """Turns scores of several statistics into one scale, which is what makes them comparable.

    Between the simulated thresholds the log of the spacing is interpolated; beyond the last it goes on along the last
    line, since the log of the mean time to a false alarm grows steadily with the threshold (Siegmund, Sequential
    Analysis, 1985).

    >>> Rarity(np.array([(1.0, 2.0, 4.0)]), (10.0, 100.0, 1000.0))(np.array([3.0])).round(3)
    array([5.756])
    """

    def __init__(self, thresholds: Floats, spacings: Sequence[float]) -> None:
        self._thresholds = thresholds
        self._logs = np.log(spacings)
        self._slopes = np.diff(self._logs) / np.diff(self._thresholds, axis=1)
        self._rows = np.arange(len(self._thresholds))

    def __call__(self, scores: Floats) -> Floats:
        """Return the log of the spacing in windows of `scores` (statistics,) or (..., statistics)."""
        line = (scores[..., None] >= self._thresholds[:, 1:-1]).sum(axis=-1)
        at = self._thresholds[self._rows, line]
        found: Floats = self._logs[line] + (scores - at) * self._slopes[self._rows, line]
        return found
