"""A retrain that passed, and copies of it in which something is planted: only the steps that see it are done again."""

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cli.retraining import Retraining
from contracts.heart_disease import HEART_DISEASE
from contracts.settings import Settings
from models.dataset import load_dataset
from models.keyfile import KeyFile
from models.pipeline.policy import Policy
from models.pipeline.report import to_html, to_json
from models.pipeline.run import Trigger, Workspace, execute, open_run
from models.pipeline.signed_csv import sign_csv
from models.roots import read_root
from models.sign import PRIVATE_KEY_FILE

POLICY = "the policy's text"


def changed(policy: Policy, **sections: dict[str, Any]) -> Policy:
    """Return the policy with fields of its sections changed; a field that is a section itself is given as a dict."""
    return msgspec.convert(_merged(msgspec.to_builtins(policy), sections), Policy)


def _merged(into: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {
        **into,
        **{name: _merged(into[name], each) if isinstance(each, dict) else each for name, each in changes.items()},
    }


# What it costs is cut down; what it wants is what so few patients can give.
CHEAP = changed(
    Policy(),
    collect={"least_rows": 400},
    security={"required": ["notebooks", "artefacts"]},
    training={"folds": 2},
    evaluation={"least_recall": 0.8, "subgroups": {"least_recall": 0.5}},
    attacks={"extraction_queries": 300, "poisoning": {"simulations": 39}},
)


def patients() -> bytes:
    """Return every second shipped patient as CSV, a little changed: new to a model of the shipped ones."""
    data = load_dataset().distinct()
    x = np.where(np.isnan(data.x), np.nan, data.x)[::2].astype(np.float64)
    for name in ("age", "thalch", "trestbps"):
        x[:, HEART_DISEASE.names.index(name)] += 0.25
    cells = [["" if np.isnan(value) else f"{value:g}" for value in row] for row in x]
    return rows_of(
        [*row, site, str(y)] for row, site, y in zip(cells, data.site[::2].tolist(), data.y[::2].tolist(), strict=True)
    )


def rows_of(rows: Any) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*HEART_DISEASE.names, "site", "diagnosis"])
    writer.writerows(rows)
    return text.getvalue().encode()


@dataclass(frozen=True)
class Rehearsal:
    """What runs share: keys, a broker and a store with a champion, a directory, and the run that passed."""

    settings: Settings
    directory: Path
    base: Workspace = field(init=False)

    @property
    def key(self) -> Path:
        return Path(self.settings.keys) / PRIVATE_KEY_FILE

    def signed(self, name: str, content: bytes) -> Path:
        """Return a directory of a signed CSV file."""
        source = self.directory / name
        source.mkdir()
        (source / "data.csv").write_bytes(content)
        trust = read_root(Path(self.settings.keys))
        sign_csv(source, self.key, None, trust, now_ms=trust.root.created_at)
        return source

    def pass_once(self, csv: Path, source: Path) -> bool:
        """Make the base, up to the second gate."""
        workspace = open_run(self.directory / "runs", b"", (Trigger("hand", "a test", ""),), KeyFile.load(self.key))
        object.__setattr__(self, "base", workspace)
        steps = Retraining(self.settings, CHEAP, source, self.key, None, csv).steps()
        return execute(workspace, [step for step in steps if step.name not in ("store", "release")])

    def again(
        self,
        name: str,
        only: tuple[str, ...],
        policy: Policy,
        source: Path,
        csv: Path | None = None,
        spoil: Callable[[Path], None] = lambda _: None,
    ) -> "Said":
        """Do the steps `only` again in a copy of the base that `spoil` was at."""
        path = self.base.path.with_name(name)
        shutil.copytree(self.base.path, path)
        spoil(path)
        for step in only:
            shutil.rmtree(path / step, ignore_errors=True)
        before = {step: done for step, done in self.base.done.items() if step not in (*only, "sign")}
        workspace = Workspace(path, self.base.run, self.base.key, before)
        steps = Retraining(self.settings, policy, source, self.key, None, csv).steps()
        passed = execute(workspace, [step for step in steps if step.name in only])
        return Said(workspace, passed)


@dataclass(frozen=True)
class Said:
    """What a run came to, as people and programs read it."""

    workspace: Workspace
    passed: bool

    @property
    def html(self) -> str:
        return to_html(self.workspace, POLICY, passed=self.passed)

    @property
    def account(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(to_json(self.workspace, passed=self.passed))
        return found
