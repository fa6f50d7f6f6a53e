"""The audit trail says of every statement who signed what, when and why, and of a refused one where it stands alone."""

import json
import logging
import sys
from typing import Any

import pytest

from contracts.codec import encode
from contracts.incidents import IncidentAct
from contracts.releases import (
    Baseline,
    Containment,
    Release,
    ReleasedFile,
    Revocation,
    RolePolicy,
    Signer,
    Step,
    TrustRoot,
)
from monitoring.elastic.audit import Judged, audited
from monitoring.elastic.documents import AuditDocument
from monitoring.elastic.files import log_documents
from monitoring.elastic.mappings import fields
from monitoring.elastic.streams import Names
from stream_app.logs import EcsFormatter

DIGEST = "sha256:" + "a" * 64
FILE = ReleasedFile(name="model.onnx", sha256="b" * 64, size=1)
SIGNER = Signer(name="Ada", kind="person", public_key="pem", roles=("champion",))
STATEMENTS: dict[str, Any] = {
    "release": Release(
        role="champion", version=3, digest=DIGEST, files=(FILE,) * 3, created_at=7, expires_at=9, reason="better"
    ),
    "revocation": Revocation(digest=DIGEST, created_at=7, reason="better"),
    "baseline": Baseline(digest=DIGEST, version=3, created_at=7, reason="better"),
    "block-source": Containment(measure="block-source", subject="uci", version=3, created_at=7, reason="better"),
    "lift-block-source": Containment(
        measure="block-source", subject="uci", version=4, lifted=True, created_at=7, reason="better"
    ),
    "close": IncidentAct(incident="0" * 12, act="close", verdict="benign", note="better", created_at=7),
    "step": Step(digest=DIGEST, stage="gated", created_at=7, reason="better"),
    "trust-root": TrustRoot(
        version=3,
        created_at=7,
        expires_at=9,
        feature_table="c" * 64,
        signers={"d" * 64: SIGNER},
        roles={"champion": RolePolicy()},
        root_signers=("d" * 64,),
    ),
}


def flat(document: dict[str, Any], path: str = "") -> set[str]:
    found = set()
    for name, value in document.items():
        found |= flat(value, f"{path}{name}.") if isinstance(value, dict) else {path + name}
    return found


@pytest.mark.parametrize("action", STATEMENTS)
def test_a_statement_says_who_what_when_and_why(action: str) -> None:
    made = json.loads(audited(Judged(STATEMENTS[action], ("Ada", "Bo")), "model-releases/0/5", 99))
    assert (made["@timestamp"], made["cardiosentry"]["signed_at"]) == (99, 7)
    assert made["user"]["name"] == ["Ada", "Bo"]
    assert made["event"]["action"] == action
    assert made["event"]["outcome"] == "success"
    assert made["event"]["reason"] == (None if action == "trust-root" else "better")
    assert made["cardiosentry"]["digest"] == getattr(STATEMENTS[action], "digest", None)
    assert made["cardiosentry"]["subject"] == getattr(STATEMENTS[action], "subject", None)
    assert made["cardiosentry"]["verified"] is True
    assert made["cardiosentry"]["origin"] == "model-releases/0/5"
    assert flat(made) == set(fields(AuditDocument))


def test_of_a_refused_statement_no_text_of_its_own_is_shipped() -> None:
    made = json.loads(audited(Judged(None, fault="expected a signer"), "model-releases/0/5", 99))
    assert made["@timestamp"] == 99
    assert made["user"] is None
    assert made["event"]["outcome"] == "failure"
    assert made["cardiosentry"]["fault"] == "expected a signer"
    assert made["message"] == "refused a record at model-releases/0/5: expected a signer"


def test_a_logged_error_is_one_line_and_no_two_lines_are_the_same() -> None:
    formatter = EcsFormatter("supervisor")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("cardiosentry", logging.ERROR, "", 0, "rewind", (), sys.exc_info())
    lines = [formatter.format(record).encode() for _ in range(2)]
    documents = [document for document in log_documents(lines, Names()) if document]
    assert not any(b"\n" in line for line in lines)
    assert len({document.id for document in documents}) == 2
    made = json.loads(documents[0].body)
    assert made["error"]["type"] == "ValueError"
    assert made["error"]["stack_trace"].startswith("Traceback")
    assert made["log"] == {"level": "error", "logger": "cardiosentry"}


@pytest.mark.parametrize("line", [b"", b"text", b"{}", b"\xff", encode({"@timestamp": "yesterday"})], ids=repr)
def test_a_line_of_another_form_is_left_out(line: bytes) -> None:
    assert list(log_documents([line], Names())) == [None]
