"""The alert of a change: what drift and quality say alike."""

import hashlib
from collections.abc import Sequence
from typing import Any

from contracts.alerts import Alert, alert
from stream_app.detectors.change import ChangeFinding
from stream_app.detectors.rules import DetectionRule
from stream_app.detectors.windows import Windows


def change_alert(
    rule: DetectionRule,
    digest: str,
    findings: Sequence[ChangeFinding],
    windows: Windows[Any],
    said: str,
    labels: dict[str, str],
    at_ms: int,
) -> Alert:
    """Return the alert of what was found of the model `digest`, the rarest first; `labels` are the detector's own."""
    found = findings[0]
    every = {
        "model": digest,
        "statistic": found.statistic,
        "windows_by_chance": f"{found.windows_by_chance:.3g}",
        "windows_wanted": f"{found.threshold:.3g}",
        "others": " ".join(other.statistic for other in findings[1:]),
        "alarms_since_last_alert": str(windows.untold or ""),
        **labels,
        **found.expected_performance.labels("expected"),
        **found.estimated_performance.labels("estimated"),
    }
    windows.untold = 0
    return alert(
        rule.rule,
        f"{rule.name}: {said}",
        at_ms=at_ms,
        dataset="model",
        severity=rule.severity,
        technique=rule.technique,
        labels={name: value for name, value in every.items() if value},
        first_ms=round(at_ms - found.windows * windows.window_ms),
        id=hashlib.sha256(f"{rule.id} {digest} {at_ms}".encode()).hexdigest()[:32],
    )
