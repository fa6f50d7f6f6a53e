"""The options that every benchmark has."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import make_bundle
from benchmarks.report import PLOTS, RESULTS


def parser(description: str | None, example: str, *, broker: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the options for broker, if one is needed, model and output."""
    built = results_parser(description, example)
    if broker:
        built.add_argument("--bootstrap", help="a Kafka to use; without it one is started")
    built.add_argument("--bundle", type=Path, help="a signed model; without it one is trained")
    built.add_argument("--keys", type=Path, help="the directory of its keys and the keyring")
    built.add_argument("--plots", type=Path, default=PLOTS, help="directory of the plot (default: %(default)s)")
    return built


def results_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """Return a parser with the option for the figures alone, for what brings its own servers and model."""
    built = argparse.ArgumentParser(description=description, epilog=f"example: {example}")
    built.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON (default: %(default)s)")
    return built


@contextmanager
def model(options: argparse.Namespace) -> Iterator[tuple[Path, Path, Path]]:
    """Yield the directories of bundle and keys, made now unless given, and a scratch directory."""
    with TemporaryDirectory(prefix="cardiosentry-bench-") as scratch:
        made = options.bundle is None or options.keys is None
        bundle, keys = make_bundle(Path(scratch)) if made else (options.bundle.resolve(), options.keys.resolve())
        yield bundle, keys, Path(scratch)
