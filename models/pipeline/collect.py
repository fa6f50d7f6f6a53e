"""Collection: events that were scored, brought together with what they turned out to be, into a snapshot.

Every record that was read comes to a row or to one count of why not, the first of these that holds.

| event left out | because |
|---|---|
| a reason of quarantine (mac_wrong, …) | it is not authentic or cannot be read: a worker's own checks, made again |
| blocked, one of these | its source is blocked or its key revoked now, whenever it was sent |
| quarantined | a worker put it into quarantine |
| changed | its id came with two contents, whichever is the true one |
| repeated | the same event came before |
| unscored | no worker has answered it: sent while nothing was scoring, or not accepted |
| recent | scored so lately that alerts of it may be to come |
| alerted | an alert touches it (touched.py) |
| conflicting_outcomes | its outcomes contradict each other |
| no_outcome | nobody has said yet what it turned out to be |

| outcome left out | because |
|---|---|
| a reason of quarantine, quarantined | as above |
| alerted | an alert touches its source at that time |
| no_event | its event is not there, or was left out before outcomes were asked for |
| foreign | its patient or its site is not the event's: who may speak for one site labels no other one's events |
| conflicting | its event has outcomes that contradict each other |
| repeated | its event has the same outcome already |

Memory stays bounded: all rows go through sealed files that are divided by row id (spill.py), each joined by itself.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from contracts.events import Event, Outcome
from contracts.features import FeatureTable
from contracts.topics import EVENTS, OUTCOMES
from models.pipeline.check import Check, Report
from models.pipeline.groups import Groups
from models.pipeline.snapshot import MANIFEST_FILE, Manifest, Places, SnapshotWriter
from models.pipeline.spill import Spill, files_for
from models.pipeline.touched import Times, Touched, row_id

_WEEK, _DAY_MS = 7, 86_400_000
_MONDAY = 4  # day 0, 1970-01-01, was a Thursday: day 4 the first Monday

_Seconds = Annotated[int, msgspec.Meta(ge=0)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Mask = npt.NDArray[np.bool_]


class CollectPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is collected and how little of it is too little; policy/collect.toml says what each is for."""

    site_parts: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    settle_s: _Seconds = 900
    before_s: _Seconds = 600
    after_s: _Seconds = 600
    untouching: tuple[str, ...] = ("forged-records", "malformed-flood", "raw-identifiers", "source-silence")
    least_rows: _Count = 500
    least_of_each: _Count = 100
    most_alerted: _Share = 0.2
    most_conflicting: _Share = 0.01


class Scored(msgspec.Struct, gc=False, frozen=True):
    """What is needed of a prediction."""

    event_id: str
    scored_at: int


@dataclass
class Account:
    """What became of the records of one topic."""

    read: int
    left_out: Counter[str]


class Collector:
    """Takes records in batches, in any order of their topics, and makes a snapshot of them.

    `records` is about how many events and outcomes will come, `scratch` an existing directory for files of about their
    size, sealed under keys that nobody has when this object is gone.
    """

    def __init__(self, scratch: Path, table: FeatureTable, records: int, groups: Groups) -> None:
        self._table, self._groups = table, groups
        self._scratch = TemporaryDirectory(dir=scratch, prefix="collecting-")
        directory, self._files = Path(self._scratch.name), files_for(records)
        self._events, self._outcomes, self._scored = (
            Spill(directory, name, schema, self._files)
            for name, schema in (("events", _event_schema(table)), ("outcomes", _OUTCOME), ("scored", _SCORED))
        )
        self.accounts = {topic.name: Account(0, Counter()) for topic in (EVENTS, OUTCOMES)}

    def refuse(self, topic: str, reasons: Iterable[str]) -> None:
        """Count records that did not pass a worker's checks, by the reason of quarantine."""
        self.accounts[topic].left_out.update(reasons)

    def read(self, topic: str, records: int) -> None:
        """Count records that were read, whatever becomes of them."""
        self.accounts[topic].read += records

    def add_events(
        self,
        events: Sequence[Event],
        x: npt.NDArray[np.float64],
        contents: Sequence[int],
        quarantined: Sequence[bool],
    ) -> None:
        """Add authentic events: `x` (n, features), NaN where missing, `contents` a hash (64 bits) of each record."""
        observed = np.array([event.observed_at for event in events], dtype=np.int64) // _DAY_MS
        monday = observed - (observed - _MONDAY) % _WEEK
        with np.errstate(over="ignore"):  # of those in quarantine, which are left out later, any number may come
            features = x.astype(np.float32)
        self._events.add(
            {
                **self._common(events, quarantined),
                "content": pa.array(contents, pa.int64()),
                "observed_on": pa.array(monday.astype(np.int32), pa.int32()).cast(pa.date32()),
                **{
                    name: pa.array(features[:, column], from_pandas=True)
                    for column, name in enumerate(self._table.names)
                },
            }
        )

    def add_outcomes(self, outcomes: Sequence[Outcome], times_ms: Sequence[int], quarantined: Sequence[bool]) -> None:
        """Add authentic outcomes; `times_ms` are their records' in Kafka, epoch milliseconds."""
        self._outcomes.add(
            {
                **self._common(outcomes, quarantined),
                "at_ms": pa.array(times_ms, pa.int64()),
                "diagnosis": pa.array([outcome.diagnosis for outcome in outcomes], pa.int8()),
            }
        )

    def add_scored(self, scored: Sequence[Scored]) -> None:
        """Add which events were scored, and when."""
        self._scored.add(
            {
                "row_id": [row_id(each.event_id) for each in scored],
                "at_ms": pa.array([each.scored_at for each in scored], pa.int64()),
            }
        )

    def finish(
        self,
        directory: Path,
        public: X25519PublicKey,
        policy: CollectPolicy,
        touched: Touched,
        *,
        now_ms: int,
        places: Places | None = None,
    ) -> Report:
        """Join what was added into a snapshot in `directory`, an existing one; return what it came to.

        The report's `files` has the manifest's SHA-256, by which the snapshot is opened.
        """
        spills = (self._events, self._outcomes, self._scored)
        for spill in spills:
            spill.close()
        with SnapshotWriter(directory, self._table, public) as writer:
            for number in range(self._files):
                events, outcomes, scored = _numbered([spill.rows(number) for spill in spills])
                self._scored_at(events, scored)
                writer.add(self._join(events, outcomes, policy, touched, now_ms))
            manifest, digest = writer.finish(
                made_at=now_ms,
                made_from="topics",
                read={topic: account.read for topic, account in self.accounts.items()},
                left_out={topic: dict(account.left_out) for topic, account in self.accounts.items()},
                places=places,
            )
        return report(manifest, digest, policy, alerts=touched.count)

    def close(self) -> None:
        """Delete what is left of the files."""
        self._scratch.cleanup()

    def _common(self, records: Sequence[Event] | Sequence[Outcome], quarantined: Sequence[bool]) -> dict[str, Any]:
        return {
            "row_id": [row_id(record.event_id) for record in records],
            "source": [record.source for record in records],
            "group": self._groups.of([record.patient_id for record in records]),
            "quarantined": list(quarantined),
        }

    @staticmethod
    def _scored_at(events: pd.DataFrame, scored: pd.DataFrame) -> None:
        """Add when each event was scored first and last (an at-least-once worker may do so twice), -1 where never."""
        times = scored.groupby("id")["at_ms"].agg(["min", "max"])
        for name, column in (("first_ms", "min"), ("last_ms", "max")):
            events[name] = events["id"].map(times[column]).fillna(-1).astype(np.int64)

    def _join(
        self, events: pd.DataFrame, outcomes: pd.DataFrame, policy: CollectPolicy, touched: Touched, now_ms: int
    ) -> pd.DataFrame:
        """Return the rows of one file, in the order of their ids."""
        for frame in (events, outcomes):
            sites = {source: "/".join(source.split("/")[: policy.site_parts]) for source in frame["source"].unique()}
            frame["site"] = frame["source"].map(sites)
        ids = events[["id", "content"]].drop_duplicates()["id"]
        changed = set(ids[ids.duplicated()])
        left = _Left(events, self.accounts[EVENTS.name].left_out)
        left.out("quarantined", lambda e: e["quarantined"])
        left.out("changed", lambda e: e["id"].isin(changed))
        left.out("repeated", lambda e: e["id"].duplicated())
        left.out("unscored", lambda e: e["last_ms"] < 0)
        left.out("recent", lambda e: e["last_ms"] > now_ms - policy.settle_s * 1000)
        left.out(
            "alerted",
            lambda e: e["row_id"].isin(touched.row_ids) | _at(touched, e, "first_ms") | _at(touched, e, "last_ms"),
        )
        labels = _Left(outcomes, self.accounts[OUTCOMES.name].left_out)
        labels.out("quarantined", lambda o: o["quarantined"])
        labels.out("alerted", lambda o: _at(touched, o, "at_ms"))
        of = left.frame.set_index("id")
        labels.out("no_event", lambda o: ~o["id"].isin(of.index))
        labels.out("foreign", lambda o: _foreign(o, of))
        said = labels.frame[["id", "diagnosis"]].drop_duplicates()["id"]
        conflicting = set(said[said.duplicated()])
        labels.out("conflicting", lambda o: o["id"].isin(conflicting))
        labels.out("repeated", lambda o: o["id"].duplicated())
        left.out("conflicting_outcomes", lambda e: e["id"].isin(conflicting))
        left.out("no_outcome", lambda e: ~e["id"].isin(labels.frame["id"]))
        return left.frame.merge(labels.frame[["id", "diagnosis"]], on="id").sort_values("row_id")


def _numbered(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return the frames with a number for each row id, the same in all: comparing text took half of a join's time."""
    numbers, _ = pd.factorize(pd.concat([frame["row_id"] for frame in frames], ignore_index=True))
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return [frame.assign(id=of) for frame, of in zip(frames, np.split(numbers, ends), strict=True)]


class _Left:
    """What is left of a frame, and the count of what was not."""

    def __init__(self, frame: pd.DataFrame, counts: Counter[str]) -> None:
        self.frame, self._counts = frame, counts

    def out(self, reason: str, which: Any) -> None:
        """Leave out the rows of which `which`, a function of the frame, says so."""
        mask = np.asarray(which(self.frame), dtype=np.bool_)
        if mask.any():
            self._counts[reason] += int(mask.sum())
            self.frame = self.frame[~mask]


def _at(touched: Touched, frame: pd.DataFrame, column: str) -> _Mask:
    times: Times = frame[column].to_numpy(dtype=np.int64)
    return touched.at(frame["source"].to_list(), times)


def _foreign(outcomes: pd.DataFrame, events: pd.DataFrame) -> _Mask:
    theirs = events.loc[outcomes["id"]]
    named = ["group", "site"]
    found: _Mask = (outcomes[named].to_numpy() != theirs[named].to_numpy()).any(axis=1)
    return found


def _event_schema(table: FeatureTable) -> "pa.Schema":
    features = [(name, pa.float32()) for name in table.names]
    return pa.schema([*_COMMON, ("content", pa.int64()), ("observed_on", pa.date32()), *features])


_COMMON = [("row_id", pa.string()), ("source", pa.string()), ("group", pa.string()), ("quarantined", pa.bool_())]
_OUTCOME = pa.schema([*_COMMON, ("at_ms", pa.int64()), ("diagnosis", pa.int8())])
_SCORED = pa.schema([("row_id", pa.string()), ("at_ms", pa.int64())])


def policy_text() -> str:
    """Return this step's section of the policy, with its comments, as it comes with the program."""
    return files(__package__).joinpath("policy/collect.toml").read_text()


def report(manifest: Manifest, digest: str, policy: CollectPolicy, *, alerts: int | None = None) -> Report:
    """Judge a snapshot by what its manifest says of it."""
    rows, positives = manifest.rows, manifest.positives
    left = Counter[str]()
    for topic, counts in manifest.left_out.items():
        left.update({f"left out of {topic}, {reason}": count for reason, count in counts.items()})
    out = Counter(manifest.left_out.get(EVENTS.name, {}))
    known = rows + sum(out[reason] for reason in ("conflicting_outcomes", "no_outcome", "alerted"))
    alerted = out["alerted"] / max(known, 1)
    conflicting = out["conflicting_outcomes"] / max(rows + out["conflicting_outcomes"], 1)
    return Report(
        step="collect",
        checks=(
            _check(
                "rows",
                rows >= policy.least_rows,
                f"{rows} rows",
                f"at least {policy.least_rows}",
                "Wait for more outcomes, or collect from an earlier time; the facts say what was left out, and why.",
            ),
            _check(
                "rows of each diagnosis",
                min(positives, rows - positives) >= policy.least_of_each,
                f"{positives} with disease, {rows - positives} without",
                f"at least {policy.least_of_each} of each",
                "Wait for more outcomes of the rarer diagnosis, or add a signed CSV file that has them.",
            ),
            _check(
                "events that alerts touch",
                alerted <= policy.most_alerted,
                f"{alerted:.1%} of {known} events, by {alerts or 0} alerts",
                f"at most {policy.most_alerted:.1%}",
                "Read the alerts on security-alerts, and collect a time without an attack.",
                "MITRE ATLAS AML.T0020, Poison Training Data",
            ),
            _check(
                "outcomes that contradict each other",
                conflicting <= policy.most_conflicting,
                f"{conflicting:.1%} of the events with an outcome",
                f"at most {policy.most_conflicting:.1%}",
                "Ask the sources whose outcomes differ which is true; look for a key that somebody else has.",
                "MITRE ATLAS AML.T0020, Poison Training Data",
            ),
        ),
        facts={
            "rows": rows,
            "positives": positives,
            **{f"rows of {site}": count for site, count in manifest.sites.items()},
            **{f"read of {topic}": count for topic, count in manifest.read.items()},
            **left,
            **({"first week": manifest.weeks[0], "last week": manifest.weeks[1]} if manifest.weeks else {}),
        },
        files={MANIFEST_FILE: digest.removeprefix("sha256:")},
    )


def _check(name: str, good: bool, found: str, limit: str, advice: str, reference: str = "") -> Check:
    return Check(
        name=name,
        verdict="pass" if good else "fail",
        found=found,
        limit=limit,
        advice="" if good else advice,
        reference=reference,
    )
