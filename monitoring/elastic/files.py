"""Documents from files: lines of our processes' logs, reports of retrainings. Each has an id of its own making."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from contracts.codec import decoder, encode
from contracts.errors import UserError
from contracts.logs import LogLine
from monitoring.elastic.bulk import Document
from monitoring.elastic.documents import EventBase, Gate, GateDocument
from monitoring.elastic.streams import GATE_STREAM, LOG_STREAM, Names

_decode_line = decoder(LogLine)


def log_documents(lines: Iterable[bytes], names: Names) -> Iterator[Document | None]:
    """Yield the document of each line that a process of ours logged as ECS, None for any other line.

    The id is the line's digest: each line is one of a kind, by its process and its number there.
    """
    for line in lines:
        try:
            made = _decode_line(line)
            index = names.index(LOG_STREAM, _epoch_ms(made.timestamp))
        except (ValueError, RecursionError):
            yield None
            continue
        yield Document(index, hashlib.sha256(line.strip()).hexdigest(), encode(made))


class _Check(msgspec.Struct):
    name: str
    verdict: str
    found: str
    limit: str
    advice: str = ""
    reference: str = ""
    findings: tuple[msgspec.Raw, ...] = ()


class _Report(msgspec.Struct):
    checks: tuple[_Check, ...] = ()


class _Done(msgspec.Struct):
    report: _Report
    finished: str


class _Run(msgspec.Struct):
    id: str


class _Account(msgspec.Struct):
    """What `retrain` leaves as report.json, as far as it is shipped."""

    run: _Run
    verdict: str
    steps: dict[str, _Done]


def gate_documents(content: bytes, file: str, names: Names) -> Iterator[Document]:
    """Yield a document for each check of a run, and one for its verdict; raises `UserError` for another file."""
    try:
        account = msgspec.json.decode(content, type=_Account)
        last = max(done.finished for done in account.steps.values())
        for step, done in account.steps.items():
            for number, check in enumerate(done.report.checks):
                yield _gate((account.run.id, step, str(number)), check, done.finished, names)
        passed = not account.verdict.endswith("said no")
        verdict = _Check("verdict", "pass" if passed else "fail", account.verdict, "")
        yield _gate((account.run.id, "run", ""), verdict, last, names)
    except ValueError as error:
        raise UserError(f"{file}: expected the report.json of a retraining: {type(error).__name__}") from None


def _gate(place: tuple[str, str, str], check: _Check, at: str, names: Names) -> Document:
    """Return the document of one check: of which run, in which step, the how many-th. A step done again is another."""
    run, step, _ = place
    made = GateDocument(
        timestamp=at,
        event=EventBase(
            dataset="cardiosentry.gates",
            category=("process",),
            type=("info",),
            action="gate",
            outcome="failure" if check.verdict == "fail" else "success",
        ),
        message=f"{step}: {check.name}: {check.verdict}: {check.found}",
        cardiosentry=Gate(
            run=run,
            step=step,
            check=check.name,
            verdict=check.verdict,
            found=check.found,
            limit=check.limit,
            advice=check.advice,
            reference=check.reference,
            findings=len(check.findings),
        ),
    )
    identity = hashlib.sha256("\n".join((*place, at)).encode()).hexdigest()
    return Document(names.index(GATE_STREAM, _epoch_ms(at)), identity, encode(made))


def _epoch_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
