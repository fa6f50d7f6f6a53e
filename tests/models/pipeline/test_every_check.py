"""Every check of the pipeline says no to what is planted for it, ends the run at its gate, and says what to do.

A row of `ROWS` names a check and what is planted for it. The last test reads the names of all checks out of the code: a
check without a row fails it.
"""

import ast
import html
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest

from cli import retraining
from cli.embedded import EmbeddedBroker
from contracts.releases import Contained
from contracts.settings import Settings
from models.bundle import MANIFEST_FILE, MODEL_FILE
from models.card_tables import HEADS
from models.metrics import FIGURES
from models.pipeline import training
from models.pipeline.champion import NOT_COMPARED
from models.pipeline.check import Report
from models.pipeline.collect import CollectPolicy, Scored
from models.pipeline.compliance.gate import CATEGORIES
from models.pipeline.scanners.table import SCANNERS
from tests.models.pipeline.collecting import (
    NOW_MS,
    SeenEvent,
    SeenOutcome,
    collect,
    event,
    event_id,
    outcome,
)
from tests.models.pipeline.collecting import told as told_of
from tests.models.pipeline.rehearsal import CHEAP, Rehearsal, Said, changed, patients, rows_of
from tests.support.scanners import HASH, ROOT, VULNERABLE, commit, fake_tool, osv_database, osv_service, write_notebook
from tests.support.site import Site, release

NEVER = -10.0  # a limit that nothing keeps to

Plant = Callable[[Rehearsal], Said]


@pytest.fixture(scope="module")
def rehearsal(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    directory = tmp_path_factory.mktemp("every-check")
    with EmbeddedBroker() as broker, pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "SETTINGS", dict(list(training.SETTINGS.items())[:1]))
        own = Site(site.bundle, site.keys, directory / "store")
        release(own, broker.address, "")
        settings = Settings(bootstrap=broker.address, keys=str(site.keys), store=str(own.store))
        found = Rehearsal(settings, directory)
        source = directory / "source"
        source.mkdir()
        (source / "app.py").write_text("print('hello')\n")
        assert found.pass_once(found.signed("csv", patients()), source), told(found.base.done)
        yield found


def told(done: Any) -> list[Any]:
    return [check for each in done.values() for check in each.report.checks if check.verdict != "pass"]


def too_little(run: Rehearsal) -> Said:
    """Four events: an alert touches two of them, and two outcomes of the third contradict each other."""

    def collected(
        _: Settings, directory: Path, policy: CollectPolicy, *, contained: Contained, since_ms: int | None
    ) -> Report:
        old = NOW_MS - 3_600_000
        numbers = range(4)
        events = [SeenEvent(event(number, who=number, at_ms=old)) for number in numbers]
        outcomes = [SeenOutcome(outcome(number, who=number), old) for number in numbers]
        outcomes.append(SeenOutcome(outcome(2, who=2, diagnosis=0), old))
        scored = [Scored(event_id(number), old) for number in numbers]
        alerts = [told_of("uci/hungary", old, old, samples=f"{event_id(0)} {event_id(1)}")]
        return collect(directory, events, outcomes, scored, alerts, policy=policy)[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retraining, "collect_topics", collected)
        return run.again("too-little", ("collect", "gate-1"), CHEAP, run.directory / "source")


def unsafe_source(run: Rehearsal) -> Said:
    source, tools = run.directory / "unsafe", run.directory / "tools"
    source.mkdir()
    (source / "requirements.lock").write_text(f"{VULNERABLE}unpinned {HASH}\n")
    write_notebook(source / "look.ipynb", "table", output="63 1 145")
    (source / "linked").symlink_to(source / "app.py")
    commit(source, app="eval(input())\n")
    result = {"ruleId": "a-rule", "message": {"text": "said"}, "level": "error"}
    sarif = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "a tool"}}, "results": [result]}]}
    found = {"package": {"name": "jinja2", "version": "2.4.1"}, "groups": [{"ids": ["X-1"], "max_severity": "9.8"}]}
    osv = {"results": [{"source": {"path": "requirements.lock"}, "packages": [found]}]}
    for name, report, code in (
        ("gitleaks", sarif, 9),
        ("trivy", sarif, 9),
        ("grype", sarif, 0),
        ("osv-scanner", osv, 1),
    ):
        fake_tool(tools, name, report=json.dumps(report), code=code)
    with osv_service() as url:
        required = [name for name in SCANNERS if name not in ("modelscan", "artefacts")]
        security = {"required": required, "tools": str(tools), "osv_url": url}
        database = {"osv_database": str(osv_database(run.directory / "osv"))}
        return run.again("unsafe-source", ("gate-1",), changed(CHEAP, security={**security, **database}), source)


def unlawful_rows(run: Rehearsal) -> Said:
    sites = ["Mrs. Jones fainted", "in prison", "internal use only", "what a bastard", "a devout Catholic", "st-mary"]
    rows = [["95", "1", "1", "140", "230", "0", "0", "150", "0", "1", "2", "", "", site, "1"] for site in sites]
    rows.append(["50", *[""] * 12, "st-mary", "0"])
    columns = {name: kind for name, kind in CHEAP.compliance.columns.items() if name != "slope"}
    policy = changed(CHEAP, collect={"least_rows": 0, "least_of_each": 0}, compliance={"max_dropped": 0.0})
    actions = dict.fromkeys(CHEAP.compliance.actions.__struct_fields__, "refuse")
    compliance = msgspec.structs.replace(
        policy.compliance, columns=columns, actions=msgspec.convert(actions, type(policy.compliance.actions))
    )
    policy = msgspec.structs.replace(policy, compliance=compliance)
    return run.again(
        "unlawful", ("collect", "gate-1"), policy, run.directory / "source", run.signed("unlawful", rows_of(rows))
    )


def poison(run: Rehearsal) -> Said:
    policy = changed(CHEAP, attacks={"poisoning": {"false_rejections": 1.0, "stamp_surprise": 0.5}})
    return run.again("poison", ("gate-1",), policy, run.directory / "source")


def too_few_to_train(run: Rehearsal) -> Said:
    return run.again("few", ("train", "evaluate"), changed(CHEAP, training={"least_ill": 10**6}), run.directory)


def behind_the_baseline(run: Rehearsal) -> Said:
    policy = changed(CHEAP, training={"behind_baseline": NEVER})
    return run.again("behind", ("train", "evaluate"), policy, run.directory)


def bad_figures(run: Rehearsal) -> Said:
    """And a row that is on both sides."""
    limits: dict[str, Any] = {f"least_{name}": 10.0 for name in FIGURES if name != "brier"}
    limits |= {
        "most_brier": NEVER,
        "least_above_majority": 10.0,
        "subgroups": {"least_recall": 10.0, "least_auc": 10.0},
    }
    limits["champion"] = {"most_auc_lost": NEVER, "most_recall_lost": NEVER, "least_of_each": 1}

    def leak(path: Path) -> None:
        file = path / "train" / "rows.json"
        split = json.loads(file.read_bytes())
        split["held_out"].append(split["train"][0])
        file.write_text(json.dumps(split))

    policy = changed(CHEAP, evaluation=limits)
    return run.again("figures", ("evaluate", "gate-2"), policy, run.directory, spoil=leak)


def champion_of_the_same_rows(run: Rehearsal) -> Said:
    policy = changed(CHEAP, evaluation={"champion": {"least_of_each": 10**6}})
    return run.again("same-rows", ("evaluate",), policy, run.directory)


def open_to_attack(run: Rehearsal) -> Said:
    """And a training row among the manifest's, a graph of another version, and formats that are not allowed."""
    limits = {"most_evaded": NEVER, "most_membership_auc": NEVER, "most_fidelity": NEVER, "most_activation": NEVER}
    policy = changed(CHEAP, attacks=limits, security={"artefact_formats": [".txt"]})

    def spoil(path: Path) -> None:
        graph = onnx.load_model(path / "train" / MODEL_FILE)
        graph.ir_version = 11
        (path / "train" / MODEL_FILE).write_bytes(graph.SerializeToString())
        manifest = json.loads((path / "train" / MANIFEST_FILE).read_bytes())
        manifest["reference_rows"][0]["values"] = values
        (path / "train" / MANIFEST_FILE).write_text(json.dumps(manifest))

    values = [float(cell) if cell else None for cell in patients().decode().splitlines()[1].split(",")[:-2]]
    return run.again("attack", ("attack", "gate-2"), policy, run.directory, spoil=spoil)


@dataclass(frozen=True)
class Row:
    """A check of a step, what is planted for it, and which step then ends the run."""

    step: str
    check: str
    plant: Plant
    said_no: str
    verdict: str = "fail"


def rows() -> Iterator[Row]:
    for name in ("rows", "rows of each diagnosis", "events that alerts touch", "outcomes that contradict each other"):
        yield Row("collect", name, too_little, "gate-1")
    yield Row("gate-1", "collection", too_little, "gate-1")
    for name in ("files", *(name for name in SCANNERS if name not in ("modelscan", "artefacts"))):
        yield Row("gate-1", name, unsafe_source, "gate-1")
    for name in (*(title for title, _, _ in CATEGORIES.values()), "rows kept"):
        yield Row("gate-1", name, unlawful_rows, "gate-1")
    for name in ("labels", "stamps"):
        yield Row("gate-1", name, poison, "gate-1")
    yield Row("train", "enough patients", too_few_to_train, "train")
    yield Row("train", "as good as the baseline", behind_the_baseline, "train")
    beside = ("AUC beside the champion's", "recall beside the champion's")
    parts = ("nothing held out was learnt from", "no part of the patients is left behind")
    for name in (*(HEADS[name] for name in FIGURES), "better than the majority class", *beside, *parts):
        yield Row("evaluate", name, bad_figures, "gate-2")
    yield Row("evaluate", NOT_COMPARED, champion_of_the_same_rows, "", "waived")
    yield Row("gate-2", "evaluate", bad_figures, "gate-2")
    for name in (
        "evasion",
        "membership inference",
        "extraction",
        "backdoor",
        "no patient in the manifest",
        "safe artefact",
    ):
        yield Row("attack", name, open_to_attack, "gate-2")
    for name in ("attack", "modelscan", "artefacts"):
        yield Row("gate-2", name, open_to_attack, "gate-2")


ROWS = list(rows())


@pytest.fixture(scope="module")
def said(rehearsal: Rehearsal) -> Callable[[Plant], Said]:
    """What a planted run came to; each is made once."""
    return cache(lambda plant: plant(rehearsal))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.step}: {row.check}")
def test_it_says_no_and_the_report_says_why_and_what_to_do(row: Row, said: Callable[[Plant], Said]) -> None:
    run = said(row.plant)
    account = run.account
    (check,) = (each for each in account["steps"][row.step]["report"]["checks"] if each["name"] == row.check)
    assert check["verdict"] == row.verdict
    assert account["verdict"] == (f"{row.said_no} said no" if row.said_no else "passed")
    assert run.passed is not bool(row.said_no)
    assert list(account["steps"])[-1] == (row.said_no or row.step)
    for told in (check["found"], check["limit"], check["advice"]):
        assert told
        assert html.escape(told).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in run.html


def test_the_run_that_all_is_planted_in_passed_every_one_of_these_checks(rehearsal: Rehearsal) -> None:
    """So that what says no is what was planted."""
    found = {
        (step, check.name): check.verdict for step, done in rehearsal.base.done.items() for check in done.report.checks
    }
    assert set(found.values()) == {"pass"}
    with_tools = {name for name in SCANNERS if name not in ("notebooks", "artefacts", "modelscan")}
    assert {(row.step, row.check) for row in ROWS} - found.keys() == {
        ("gate-1", "collection"),
        ("evaluate", NOT_COMPARED),
        *(("gate-1", name) for name in with_tools),
    }


# Names that the code puts together: the expression, and what it may come to.
TOGETHER: dict[str, tuple[str, ...]] = {
    "scan.py: name": tuple(SCANNERS),
    "gate.py: title": tuple(title for title, _, _ in CATEGORIES.values()),
    "evaluation.py: HEADS[name]": tuple(HEADS[name] for name in FIGURES),
    'champion.py: f"{name} beside the champion\'s"': ("AUC beside the champion's", "recall beside the champion's"),
    "champion.py: NOT_COMPARED": (NOT_COMPARED,),
    "retraining.py: name": ("collection", "evaluate", "attack"),
    "judge.py: name": (),  # these two pass on what they are given
    "collect.py: name": (),
}


def names_in_the_code() -> Iterator[str]:
    """Yield the name of every check that is made anywhere in the pipeline."""
    for file in (*(ROOT / "models" / "pipeline").rglob("*.py"), ROOT / "cli" / "retraining.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
                continue
            if call.func.id not in ("Check", "judge") and (call.func.id, file.name) != ("_check", "collect.py"):
                continue
            named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
            (name,) = named or call.args[:1]
            if isinstance(name, ast.Constant):
                yield str(name.value)
            else:
                yield from TOGETHER[f"{file.name}: {ast.unparse(name)}"]


def test_no_check_is_without_a_row() -> None:
    assert set(names_in_the_code()) == {row.check for row in ROWS}
