"""What a worker reports of releases, as ECS documents on security-alerts: once each, never a flood.

That there is no champion is told again every ten minutes, and when there is one.
"""

import time
from collections.abc import Callable

from contracts.alerts import Alert, Rule, Severity, alert
from contracts.releases import DAY_MS, Release
from models.release_log import ReleaseLog
from stream_app.model_slot import LoadedModel

_RUNBOOKS = "docs/runbooks/"
_MANIPULATED = ("AML.T0018", "Manipulate AI Model")

REFUSED = Rule("release-refused", "Release refused", "1", _RUNBOOKS + "release-refused.md")
UNAVAILABLE = Rule("release-unavailable", "Released model not in the store", "1", _RUNBOOKS + "release-unavailable.md")
NO_CHAMPION = Rule("no-champion", "No champion to score with", "1", _RUNBOOKS + "no-champion.md")
ENDING = Rule("release-ending", "Release or trust root is about to end", "1", _RUNBOOKS + "release-ending.md")
CUT = Rule("release-log-cut", "Records of model-releases deleted", "1", _RUNBOOKS + "release-log-cut.md")
SHADOW_FAILED = Rule("shadow-failed", "Model on trial failed", "1", _RUNBOOKS + "shadow-failed.md")
RULES = (REFUSED, UNAVAILABLE, NO_CHAMPION, ENDING, CUT, SHADOW_FAILED)

_WEEK_MS = 7 * DAY_MS
_TOLD_AGAIN_MS = 600_000
_REFUSALS_A_MINUTE = 6
_MAX_REMEMBERED = 10_000


class ReleaseAlerts:
    """Says each thing once, to `write`; `worker` names who says it."""

    def __init__(self, write: Callable[[Alert], None], worker: str, clock_ms: Callable[[], int]) -> None:
        self._write = write
        self._worker = worker
        self._clock_ms = clock_ms
        self._said: set[str] = set()
        self._refusals: list[float] = []
        self._not_said = 0
        self._no_champion_ms: int | None = None

    def refused(self, why: str, origin: str) -> None:
        """Report a record or a bundle that failed a check; beyond a few a minute they are counted."""
        if f"refused {origin}" in self._said:
            return
        now = time.monotonic()
        self._refusals = [at for at in self._refusals if now - at < 60]
        if len(self._refusals) >= _REFUSALS_A_MINUTE:
            self._not_said += 1
            return
        self._refusals.append(now)
        counted, self._not_said = self._not_said, 0
        labels = {"origin": origin} | ({"refused_before_unreported": str(counted)} if counted else {})
        self._say(f"refused {origin}", REFUSED, why, "high", labels, technique=_MANIPULATED)

    def cut(self, why: str) -> None:
        """Report that records are gone which are to be kept for ever."""
        self._say("cut", CUT, why, "high", {}, technique=_MANIPULATED)

    def unavailable(self, why: str, release: Release) -> None:
        """Report a release whose files cannot be had."""
        labels = {"digest": release.digest, "version": str(release.version)}
        self._say(f"unavailable {release.digest}", UNAVAILABLE, why, "high", labels)

    def shadow_failed(self, release: Release, error: str) -> None:
        """Report that a model on trial raised; `error` is the error's type, never its text."""
        labels = {"digest": release.digest, "version": str(release.version), "error": error}
        self._say(
            f"shadow {release.role} {release.version}",
            SHADOW_FAILED,
            f"{release.role} {release.version}: expected a model that scores, it raised {error}",
            "medium",
            labels,
        )

    def state(self, releases: ReleaseLog, champion: LoadedModel | None, now_ms: int) -> None:
        """Report that nothing scores, or that what scores is about to end."""
        if champion is None:
            if self._no_champion_ms is None or now_ms - self._no_champion_ms >= _TOLD_AGAIN_MS:
                self._no_champion_ms = now_ms
                self._tell(NO_CHAMPION, "expected a champion that may score, found none", "critical", {})
            return
        if self._no_champion_ms is not None:
            self._no_champion_ms = None
            self._tell(NO_CHAMPION, f"champion {champion.release.version} scores", "critical", {}, ended=True)
        release = champion.release
        for what, end_ms in (
            (f"champion {release.version}", release.expires_at),
            (f"trust root {releases.trust.root.version}", releases.trust.root.expires_at),
        ):
            if end_ms - now_ms < _WEEK_MS:
                hours = (end_ms - now_ms) // 3_600_000
                why = f"{what}: it ends in {hours} h" if hours >= 0 else f"{what}: it ended {-hours} h ago"
                self._say(f"ending {what} {hours < 0}", ENDING, why, "medium", {"what": what})

    def _say(
        self,
        key: str,
        rule: Rule,
        message: str,
        severity: Severity,
        labels: dict[str, str],
        technique: tuple[str, str] | None = None,
    ) -> None:
        if key in self._said:
            return
        if len(self._said) >= _MAX_REMEMBERED:
            self._said.clear()
        self._said.add(key)
        self._tell(rule, message, severity, labels, technique)

    def _tell(
        self,
        rule: Rule,
        message: str,
        severity: Severity,
        labels: dict[str, str],
        technique: tuple[str, str] | None = None,
        *,
        ended: bool = False,
    ) -> None:
        made = alert(
            rule,
            message,
            at_ms=self._clock_ms(),
            dataset="security",
            severity=severity,
            technique=technique,
            labels={**labels, "worker": self._worker},
            ended=ended,
        )
        self._write(made)
