"""Releases under load: bundles to release, and whether each prediction is by a model that was live when it was made."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from confluent_kafka import Producer

from cli.releasing import read_releases
from contracts.settings import Settings
from contracts.topics import RELEASES
from models.bundle import MANIFEST_FILE, bundle_digest, decode_manifest, encode_manifest
from models.keyfile import KeyFile
from models.release import listed, sign_release
from models.sign import PRIVATE_KEY_FILE, signer
from models.store import DirectoryStore
from models.verify import read_bundle
from tests.support.site import Site

GRACE_S = 2.0
"""For so long after its successor was announced may a model still score: workers fetch, verify and load meanwhile."""


class Made(NamedTuple):
    """When a prediction was made, seconds since the epoch, by which bundle, of which input partition."""

    at_s: float
    digest: str
    partition: int


class Live(msgspec.Struct):
    """A release: when its announcement began, and when the one after it was announced (None: never)."""

    digest: str
    from_s: float
    to_s: float | None = None


class Releases:
    """Releases a new bundle each time it is called. They score alike and differ in their version alone.

    All of them are signed and stored beforehand: a release costs this process, which also sends and reads, nothing.
    """

    def __init__(self, site: Site, bootstrap: str, prefix: str, directory: Path, count: int) -> None:
        settings = Settings(bootstrap=bootstrap, topic_prefix=prefix, keys=str(site.keys), store=str(site.store))
        private_key = site.keys / PRIVATE_KEY_FILE
        sign, key, store = signer(private_key), KeyFile.load(private_key), DirectoryStore(site.store)
        log = read_releases(settings)
        (first,) = log.releases("champion")
        self.live = [Live(first.digest, 0.0)]
        self._statements: list[tuple[str, bytes]] = []
        for number in range(count):
            bundle = _versioned(site.bundle, directory / f"bundle-{number}", number)
            sign(bundle)
            files = read_bundle(bundle)
            for content in files.values():
                store.put(content)
            digest, now_ms = bundle_digest(files), int(time.time() * 1000)
            made = sign_release(
                listed(files), digest, log, key, role="champion", reason="a test", now_ms=now_ms, days=30
            )
            log.read(made)
            self._statements.append((digest, made))
        self._topic = prefix + RELEASES.name
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})

    def __call__(self) -> None:
        digest, statement = self._statements[len(self.live) - 1]
        from_s = time.time()
        self._producer.produce(self._topic, statement, b"champion", partition=0)
        if self._producer.flush(60):
            raise RuntimeError("release: expected the broker to take it")
        self.live[-1].to_s = time.time()
        self.live.append(Live(digest, from_s))


def _versioned(bundle: Path, copy: Path, number: int) -> Path:
    shutil.copytree(bundle, copy)
    manifest = decode_manifest((copy / MANIFEST_FILE).read_bytes())
    changed = msgspec.structs.replace(manifest, version=f"1.0.{number + 1}")
    (copy / MANIFEST_FILE).write_bytes(encode_manifest(changed))
    return copy


def not_live(made: Sequence[Made], live: Sequence[Live]) -> int:
    """Return how many predictions were made by a model before it was announced, or too long after its successor was.

    >>> lives = [Live("a", 0.0, 10.0), Live("b", 9.5)]
    >>> not_live([Made(9.0, "b", 0), Made(11.9, "a", 0), Made(12.1, "a", 0), Made(99.0, "b", 0)], lives)
    2
    """
    times = {each.digest: (each.from_s, each.to_s) for each in live}
    wrong = 0
    for prediction in made:
        from_s, to_s = times.get(prediction.digest, (float("inf"), None))
        wrong += prediction.at_s < from_s or (to_s is not None and prediction.at_s > to_s + GRACE_S)
    return wrong


def pauses_ms(made: Sequence[Made], killed_s: Sequence[float] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return the time between one batch of a partition and the next: where the model changed, and where it did not.

    Left out are those in which a worker was killed: that pause is its recovery.

    >>> made = [Made(1.0, "a", 0), Made(1.01, "a", 1), Made(1.02, "a", 0), Made(1.05, "b", 0), Made(5.0, "b", 1)]
    >>> [pauses.round(1).tolist() for pauses in pauses_ms(made, killed_s=[2.0])]
    [[30.0], [20.0]]
    """
    last: dict[int, Made] = {}
    swaps: list[float] = []
    others: list[float] = []
    for prediction in made:
        before = last.get(prediction.partition)
        last[prediction.partition] = prediction
        if before is None or before.at_s == prediction.at_s:
            continue
        if not any(before.at_s <= at_s <= prediction.at_s for at_s in killed_s):
            pauses = others if before.digest == prediction.digest else swaps
            pauses.append((prediction.at_s - before.at_s) * 1000)
    return np.array(swaps), np.array(others)


def shares(values: np.ndarray) -> dict[str, float]:
    """Return median, 99th percentile and maximum, nothing of nothing."""
    names = {"p50": 50, "p99": 99, "max": 100} if len(values) else {}
    return {name: round(float(np.percentile(values, share)), 1) for name, share in names.items()}
