"""Signing and verifying a bundle of 100 MB: ours, the model_signing command, and the SHA-256 that both rest on.

Each run is a process of its own, start-up included, on the same files. Who verifies checks what the other one signed.
"""

import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.contenders import cardiosentry
from benchmarks.options import model, parser
from benchmarks.report import WIDTH, bars, caption, context, write_json, write_plot
from benchmarks.rounds import interleave, say
from benchmarks.stats import ratio
from models.bundle import SIGNATURE_FILE
from models.sign import PRIVATE_KEY_FILE, PUBLIC_KEY_FILE

MAX_FILE_MB = 50  # a bundle's file may be 64 MiB: 100 MB are two
BESIDE = {"sign": "model-signing-sign", "verify": "model-signing-verify"}
TITLES = {
    "sha256": "SHA-256 of the same files (floor)",
    "sign": "CardioSentry signs",
    "model-signing-sign": "model_signing signs",
    "verify": "CardioSentry verifies",
    "model-signing-verify": "model_signing verifies",
}

_HASH = "import hashlib, sys; [hashlib.file_digest(open(path, 'rb'), 'sha256').digest() for path in sys.argv[1:]]"
# Ours signs at the end of `train` and has no command that does nothing else.
_SIGN = "import pathlib, sys; from models.sign import sign_bundle; sign_bundle(*map(pathlib.Path, sys.argv[1:]))"


class Timed(msgspec.Struct, frozen=True):
    """One run: seconds by the clock, and of CPU (user and system)."""

    seconds: float
    cpu_s: float


def main() -> None:
    arguments = parser(__doc__, "python -m benchmarks.signing --megabytes 10 --rounds 1", broker=False)
    arguments.add_argument("--megabytes", type=int, default=100, help="of further files (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=9, help="(default: %(default)s)")
    options = arguments.parse_args()

    made = context(None)
    with model(options) as (bundle, keys, scratch):
        large = shutil.copytree(bundle, scratch / "large")
        fill(large, options.megabytes)
        commands = commands_on(large, keys)
        runs = {name: partial(timed, command) for name, command in commands.items()}
        rounds = interleave(runs, options.rounds, lambda found: f"{found.seconds:.2f} s")

    summary = summarise(rounds)
    settings = {
        "megabytes": options.megabytes,
        "rounds": options.rounds,
        "measured": "a fresh process each, start-up included; files in the page cache",
    }
    document = {"benchmark": "signing", **made, "settings": settings, "summary": summary, "rounds": rounds}
    console = Console(width=WIDTH)
    console.print(table(summary, options.megabytes))
    console.print(caption(made), style="dim")
    console.print(write_json(options.results, "signing", document))
    figure = bars(
        [row["title"] for row in summary],
        *([row[name] for row in summary] for name in ("seconds", "lowest", "highest")),
        ours=[row["name"] in BESIDE for row in summary],
        what=f"seconds for {options.megabytes} MB, start-up included (whiskers: fastest and slowest round)",
        form=".2f",
    )
    console.print(write_plot(options.plots, "signing", figure, made))


def fill(bundle: Path, megabytes: int) -> None:
    """Add as many megabytes (1e6 bytes) of further files to a bundle, none above `MAX_FILE_MB`."""
    draw = random.Random(1)
    for number in count():
        size = min(MAX_FILE_MB, megabytes - number * MAX_FILE_MB)
        if size <= 0:
            return
        say(f"writing {size} MB …")
        (bundle / f"further-{number}.bin").write_bytes(draw.randbytes(size * 10**6))


def commands_on(bundle: Path, keys: Path) -> dict[str, list[str]]:
    """Return each contender's command, in an order in which each verifies what the other one has just signed."""
    signature, private, public = bundle / SIGNATURE_FILE, keys / PRIVATE_KEY_FILE, keys / PUBLIC_KEY_FILE
    signed = sorted(path for path in bundle.iterdir() if path != signature)
    theirs = [sys.executable, "-m", "model_signing"]
    on_bundle: list[str | Path] = [bundle, "--signature", signature]
    commands: dict[str, list[str | Path]] = {
        "sha256": [sys.executable, "-c", _HASH, *signed],
        "sign": [sys.executable, "-c", _SIGN, bundle, private],
        "model-signing-verify": [*theirs, "verify", "key", *on_bundle, "--public_key", public],
        "model-signing-sign": [*theirs, "sign", "key", *on_bundle, "--private_key", private],
        "verify": [cardiosentry(), "verify", bundle, "--keys", keys],
    }
    return {name: list(map(str, command)) for name, command in commands.items()}


def timed(command: list[str]) -> Timed:
    """Run a command; raise `RuntimeError` with the end of what it said if it fails."""
    before, started = _children_cpu_s(), time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"expected {' '.join(command[:4])} … to succeed, got: {done.stderr[-1000:]}")
    return Timed(seconds, _children_cpu_s() - before)


def summarise(rounds: Sequence[dict[str, Timed]]) -> list[dict[str, Any]]:
    """Return one row for each contender: medians over the rounds, and medians of the ratios within each round."""
    seconds = [{name: found.seconds for name, found in each.items()} for each in rounds]
    return [
        {
            "name": name,
            "title": TITLES[name],
            "seconds": median(each[name] for each in seconds),
            "lowest": min(each[name] for each in seconds),
            "highest": max(each[name] for each in seconds),
            "cpu_s": median(each[name].cpu_s for each in rounds),
            "of_floor": ratio(seconds, name, "sha256"),
            "of_model_signing": ratio(seconds, name, BESIDE[name]) if name in BESIDE else None,
        }
        for name in TITLES
    ]


def table(summary: Sequence[dict[str, Any]], megabytes: int) -> Table:
    """Return the summary for people."""
    built = Table(title=f"A bundle with {megabytes} MB of further files, median of the rounds")
    built.add_column("who")
    for column in ("s", "lowest-highest", "CPU s", "of the floor", "ours / model_signing"):
        built.add_column(column, justify="right", no_wrap=True)
    for row in summary:
        built.add_row(
            row["title"],
            f"{row['seconds']:.2f}",
            f"{row['lowest']:.2f}-{row['highest']:.2f}",
            f"{row['cpu_s']:.2f}",
            f"{row['of_floor']:.2f}",
            "" if row["of_model_signing"] is None else f"{row['of_model_signing']:.2f}",
        )
    return built


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
