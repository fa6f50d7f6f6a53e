"""A retrain of the 920 patients from nothing, step by step, beside scikit-learn's own fit of the same estimator.

The rows come from a signed CSV file, so that no Kafka is needed; the scanners look at this repository, with one record
in OSV's database. The floor is what anybody would do by hand: median imputation and gradient boosting of stumps, fitted
once and judged by 5-fold cross-validation. It checks nothing, signs nothing and chooses nothing.
"""

import argparse
import multiprocessing
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.environments import ROOT
from benchmarks.report import RESULTS, WIDTH, caption, context, write_json
from tests.support.scanners import TOOLS, build, osv_database, osv_service

if TYPE_CHECKING:
    from cli.retraining import Retraining

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m benchmarks.retrain")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON (default: %(default)s)")
    options = parser.parse_args()
    made, console = context(None), Console(width=WIDTH)
    build()
    # Each in a process of its own: what one loads is in no other's memory.
    floor, steps = (_alone(each) for each in (_floor, _retrain))
    table = Table("step", "s", "CPU s", "peak MiB", "programs', MiB")
    for name, figures in {**steps, **floor}.items():
        table.add_row(name, *(f"{figures[each]:,.1f}" for each in ("seconds", "cpu_s", "peak_mib", "programs_mib")))
    console.print(table)
    console.print(caption(made), style="dim")
    console.print(
        write_json(options.results, "retrain", {"benchmark": "retrain", **made, "steps": steps, "floor": floor})
    )


def _alone(measured: Callable[[], dict[str, Figures]]) -> dict[str, Figures]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured)


class Meter:
    """Time, CPU with that of programs that ended, and the peak of memory, since the last look."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (man 5 proc)
        self._at, self._cpu = time.perf_counter(), _cpu_s()

    def end(self) -> Figures:
        status = Path("/proc/self/status").read_text()
        peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return {
            "seconds": round(time.perf_counter() - self._at, 2),
            "cpu_s": round(_cpu_s() - self._cpu, 2),
            "peak_mib": round(peak_kib / 1024, 1),
            "programs_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1),
        }


def _cpu_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _floor() -> dict[str, Figures]:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    from models.dataset import load_dataset

    rows = load_dataset().distinct()
    boosting = GradientBoostingClassifier(  # as models/fit.py
        max_depth=1,
        learning_rate=0.1,
        subsample=0.7,
        min_samples_leaf=20,
        n_estimators=300,
        n_iter_no_change=10,
        validation_fraction=0.2,
        random_state=1,
    )
    estimator = make_pipeline(SimpleImputer(strategy="median"), boosting)
    meter = Meter()
    estimator.fit(rows.x, rows.y)
    cross_val_score(estimator, rows.x, rows.y, cv=5, scoring="roc_auc")
    return {"floor: scikit-learn fits once, and 5-fold cross_val_score": meter.end()}


def _retrain() -> dict[str, Figures]:
    from models.keyfile import KeyFile
    from models.pipeline.run import Done, Step, Trigger, execute, open_run

    found: dict[str, Figures] = {}
    meter = Meter()

    def listen(step: Step, done: Done | None) -> None:
        if done is None:
            meter.begin()
        else:
            found[step.name] = meter.end()

    with _system() as (retraining, directory):
        workspace = open_run(
            directory / "runs", b"", (Trigger("hand", "a benchmark", ""),), KeyFile.load(retraining.key_path)
        )
        steps = [step for step in retraining.steps() if step.name not in ("store", "release")]
        if not execute(workspace, steps, listen):
            failed = [check.name for done in workspace.done.values() for check in done.report.checks if check.advice]
            raise RuntimeError(f"expected a retrain that passes, got no from {', '.join(failed)}")
    whole = {name: round(sum(each[name] for each in found.values()), 2) for name in ("seconds", "cpu_s")}
    peaks = {name: max(each[name] for each in found.values()) for name in ("peak_mib", "programs_mib")}
    return {**found, "whole": {**whole, **peaks}}


@contextmanager
def _system() -> Iterator[tuple["Retraining", Path]]:
    """Yield a retrain of the shipped patients, by keys, broker and OSV records of its own, and a scratch directory."""
    from cli.embedded import EmbeddedBroker
    from cli.keyfiles import generate_keys
    from cli.releasing import now_ms
    from cli.retraining import Retraining
    from contracts.settings import Settings
    from models.dataset import DATA_FILE
    from models.pipeline.policy import read_policy
    from models.pipeline.signed_csv import sign_csv
    from models.roots import read_root
    from models.sign import PRIVATE_KEY_FILE

    with TemporaryDirectory(prefix="cardiosentry-bench-") as scratch, EmbeddedBroker() as broker, osv_service() as url:
        directory = Path(scratch)
        keys, csv = directory / "keys", directory / "csv"
        list(generate_keys(keys, ()))
        csv.mkdir()
        shutil.copy(DATA_FILE, csv / "data.csv")
        sign_csv(csv, keys / PRIVATE_KEY_FILE, None, read_root(keys), now_ms=now_ms())
        _, policy = read_policy(None)
        security = msgspec.structs.replace(
            policy.security,
            tools=str(TOOLS),
            osv_database=str(osv_database(directory / "osv")),
            osv_url=url,
        )
        policy = msgspec.structs.replace(policy, security=security)
        settings = Settings(bootstrap=broker.address, keys=str(keys), store=str(directory / "store"))
        yield Retraining(settings, policy, ROOT, keys / PRIVATE_KEY_FILE, None, csv), directory


if __name__ == "__main__":
    main()
