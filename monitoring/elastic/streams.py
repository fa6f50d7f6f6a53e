"""What is shipped, and where it comes to be: the names of indices, their retention, how soon they can be searched.

The fields of each index are those of its document (monitoring/elastic/documents.py).
"""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.alerts import Alert
from contracts.errors import UserError
from contracts.logs import LogLine
from contracts.times import LATEST_MS
from contracts.topics import (
    INCIDENT_ACTS,
    MODEL_ALERTS,
    PREDICTIONS,
    QUARANTINE,
    RELEASES,
    SECURITY_ALERTS,
    SHADOW_PREDICTIONS,
    Topic,
)
from monitoring.elastic.documents import AuditDocument, GateDocument, PredictionDocument, QuarantineDocument

VERSION = 2
"""Of policies and templates together: raise it with every change of theirs, of a document or of a type."""

MANAGED_BY = "cardiosentry"
_NAME = "cardiosentry-"
_PREFIX = re.compile(r"([a-z0-9][a-z0-9._-]*)?")


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of document. `keep_days` None is for ever; `refresh` is how soon a document can be searched."""

    name: str
    holds: str
    document: Any
    keep_days: int | None
    refresh: str
    topic: Topic | None = None


PREDICTION_STREAM = Stream(
    name="predictions",
    holds=PREDICTIONS.holds,
    document=PredictionDocument,
    keep_days=30,
    refresh="10s",
    topic=PREDICTIONS,
)
SHADOW_STREAM = Stream(
    name="shadow-predictions",
    holds=SHADOW_PREDICTIONS.holds,
    document=PredictionDocument,
    keep_days=30,
    refresh="30s",
    topic=SHADOW_PREDICTIONS,
)
SECURITY_STREAM = Stream(
    name="security-alerts",
    holds=SECURITY_ALERTS.holds,
    document=Alert,
    keep_days=365,
    refresh="1s",
    topic=SECURITY_ALERTS,
)
MODEL_STREAM = Stream(
    name="model-alerts", holds=MODEL_ALERTS.holds, document=Alert, keep_days=365, refresh="1s", topic=MODEL_ALERTS
)
QUARANTINE_STREAM = Stream(
    name="quarantine",
    holds="why, from where and when a record went to quarantine; never its bytes",
    document=QuarantineDocument,
    keep_days=90,
    refresh="10s",
    topic=QUARANTINE,
)
AUDIT_STREAM = Stream(
    name="audit",
    holds="every statement about a model: who signed it, what, when and why",
    document=AuditDocument,
    keep_days=None,
    refresh="10s",
    topic=RELEASES,
)
INCIDENT_STREAM = Stream(
    name="incident-acts",
    holds="what people did about incidents: who, what, when and why",
    document=AuditDocument,
    keep_days=None,
    refresh="10s",
    topic=INCIDENT_ACTS,
)
LOG_STREAM = Stream(
    name="logs", holds="what processes logged as ECS JSON", document=LogLine, keep_days=30, refresh="10s"
)
GATE_STREAM = Stream(
    name="gates", holds="what each check of a retraining found", document=GateDocument, keep_days=365, refresh="10s"
)

STREAMS = (
    PREDICTION_STREAM,
    SHADOW_STREAM,
    SECURITY_STREAM,
    MODEL_STREAM,
    QUARANTINE_STREAM,
    AUDIT_STREAM,
    INCIDENT_STREAM,
    LOG_STREAM,
    GATE_STREAM,
)


class Names:
    """The names that things have in Elasticsearch; `prefix` is the topics', put before every one of them.

    Raises `UserError` for a prefix that Elasticsearch takes in no name.
    """

    def __init__(self, prefix: str = "") -> None:
        if not _PREFIX.fullmatch(prefix):
            raise UserError(
                "setting topic_prefix: expected lower-case letters, digits, '.', '_' and '-' for Elasticsearch, "
                "beginning with a letter or digit; got another"
            )
        self._prefix = prefix + _NAME
        self._days: dict[tuple[str, int], str] = {}

    @property
    def setup(self) -> str:
        """The empty index that says that `ship --setup` was run, and in which version."""
        return f"{self._prefix}setup"

    @property
    def base(self) -> str:
        """The component template that all streams share."""
        return f"{self._prefix}base"

    def of(self, stream: Stream) -> str:
        """The name of a stream's policy, component template and index template."""
        return self._prefix + stream.name

    def pattern(self, stream: Stream) -> str:
        """What a stream's indices are called, the day as `*`."""
        return f"{self.of(stream)}-*"

    def index(self, stream: Stream, at_ms: int) -> str:
        """Return the index of a UTC day, epoch milliseconds; `ValueError` outside the years 1970 to 9999."""
        if not 0 <= at_ms <= LATEST_MS:
            raise ValueError("expected a time of the years 1970 to 9999")
        day = at_ms // 86_400_000
        found = self._days.get((stream.name, day))
        if found is None:
            date = datetime.fromtimestamp(day * 86_400, UTC)
            found = self._days[stream.name, day] = f"{self.of(stream)}-{date:%Y.%m.%d}"
        return found
