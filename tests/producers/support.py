"""What the tests of the producers share: keys, a sink that remembers, a clock that moves when told."""

from collections.abc import Sequence

from contracts.mac import Keyring, SourceKey
from producers.sources import SourceRecord
from producers.synthetic import SyntheticPatients

PSEUDONYM_KEY = bytes(range(32))
SECRET = bytes(range(100, 132))
KEYRING = Keyring({"k1": SourceKey("k1", SECRET, ("uci", "synthetic"))})
AT_MS = 1_790_000_000_000


class FakeClock:
    """Seconds that pass only by `sleep`."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class ListSink:
    """Keeps what it gets and when; sending takes `send_s` seconds of the fake clock."""

    def __init__(self, clock: FakeClock, send_s: float = 0.0) -> None:
        self.clock = clock
        self.send_s = send_s
        self.got: list[tuple[float, SourceRecord]] = []

    def send(self, records: Sequence[SourceRecord]) -> None:
        self.got += [(self.clock(), record) for record in records]
        self.clock.sleep(self.send_s)

    def poll(self, timeout_s: float) -> None:
        self.clock.sleep(timeout_s)


def synthetic(seed: int = 1, *, patients: int = 500, outcome_delay_s: float | None = None) -> SyntheticPatients:
    """Return a small source of synthetic patients."""
    return SyntheticPatients(pseudonym_key=PSEUDONYM_KEY, seed=seed, patients=patients, outcome_delay_s=outcome_delay_s)
