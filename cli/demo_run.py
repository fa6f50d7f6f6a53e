"""The demo: broker, worker, producer and reader around one tally."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import click
from rich.live import Live

from cli.attacks import DEMO_ATTACKS
from cli.embedded import EmbeddedBroker
from cli.keyfiles import generate_keys, read_pseudonym_key
from cli.releasing import release_bundle
from contracts.detection import SIGNAL_OF
from contracts.errors import UserError
from contracts.settings import ENV_PREFIX, Settings
from contracts.topics import EVENTS, MODEL_ALERTS, PREDICTIONS, QUARANTINE, SECURITY_ALERTS
from monitoring.live import LiveView
from monitoring.reader import TopicReader, headers
from monitoring.tally import Tally
from producers.attacks.catalogue import ATTACKS
from producers.attacks.source import WithAttack
from producers.malformed import WithMalformed
from producers.pacing import Pace
from producers.publish import Publisher
from producers.replay import replay
from producers.run import run
from producers.sign import Signer
from producers.sources import Source, SourceRecord
from producers.synthetic import SyntheticPatients
from stream_app import quarantine
from stream_app.app import free_port
from stream_app.configuration import read_keyring

_START_TIMEOUT_S = 60.0
_SETTLE_TIMEOUT_S = 30.0  # after the last event was sent
_STOP_TIMEOUT_S = 40.0
_ATTACK_S = 2.0
_MALFORMED_SHARE = 0.02
_ALARMING = ("forged", "unpseudonymised")  # signs of an attack or a leak, which a calm demo has none of
_OUTCOME_DELAY_S = 1.0
# The embedded broker answers a fetch that finds nothing only after its longest wait, new records or not.
_FAST_FETCH = {"fetch.wait.max.ms": "10"}
_FAST_FETCH_OPTION = ["-X", "fetch.wait.max.ms=10"]
_SOURCES = ("uci", "synthetic")


class Demo:
    """One run. `directory` gets keys, model and the worker's log; `stopped` ends it early."""

    def __init__(
        self,
        directory: Path,
        *,
        rate: float,
        seed: int,
        seconds: float | None,
        stopped: threading.Event,
        attack: str | None = None,
        console: bool = True,
        console_port: int | None = None,
    ) -> None:
        self._directory = directory
        self._keys = directory / "keys"
        self._log = directory / "worker.log"
        self._rate, self._seed, self._seconds, self._stopped = rate, seed, seconds, stopped
        self._console_port = _console_port(console_port) if console else None
        self._attack_name = attack
        self._attack = DEMO_ATTACKS[attack] if attack else None
        self._attacked = False
        self._digest = ""
        self._sent: deque[tuple[str, int, int, bool]] = deque()  # from the producer's thread to the reader's
        self._failure: BaseException | None = None
        self.tally = Tally()

    def run(self, *, live: bool) -> bool:
        """Run until `stopped` or the time is over; return whether every event sent came back, once."""
        self._prepare()
        with EmbeddedBroker() as broker, self._worker(self._release(broker.address)) as worker:
            topics = [topic.name for topic in (PREDICTIONS, QUARANTINE, SECURITY_ALERTS, MODEL_ALERTS)]
            reads = {"bootstrap.servers": broker.address, **_FAST_FETCH}
            with TopicReader(reads, topics, beginning=True) as reader, self._console(broker.address) as console:
                view = LiveView(self.tally, broker.address, console)
                with Live(get_renderable=view.render, screen=True, refresh_per_second=5) if live else _lines(view):
                    self._watch(broker.address, reader, worker, view)
        summary = self.tally.summary()
        nothing_lost = summary.unaccounted == 0 and summary.doubled == 0
        good = nothing_lost and (summary.events_sent > 0 or self._stopped.is_set()) and self._withstood()
        _say(
            f"{summary.events_sent} events sent: {summary.predictions} predictions, "
            f"{sum(summary.quarantined.values())} quarantined, {summary.unaccounted} unaccounted for, "
            f"{summary.doubled} doubled"
        )
        return good

    def _prepare(self) -> None:
        from models.sign import PRIVATE_KEY_FILE
        from models.train import train_bundle

        for path, _ in generate_keys(self._keys, _SOURCES):
            _say(f"made {Path(path).name}")
        train_bundle(self._directory / "bundle", self._keys / PRIVATE_KEY_FILE, progress=_say)

    def _release(self, address: str) -> str:
        """Release the model as its champion; return the address."""
        say = release_bundle(
            self._settings(address),
            self._directory / "bundle",
            role="champion",
            reason="the demo's first model",
            days=30,
        )
        _say(say)
        self._digest = say.split()[-1]
        return address

    def _settings(self, address: str) -> Settings:
        return Settings(bootstrap=address, keys=str(self._keys), store=str(self._directory / "store"))

    def _withstood(self) -> bool:
        """Whether the attack, if there was one, raised its alerts, and the model is the one that was released."""
        if self._attack is None or not self._attacked:
            return self._attack is None
        raised = self._raised()
        same = self.tally.model_digest == self._digest
        wanted = self._attack.alerts
        _say(f"attacked: {raised} alerts {self._attack.rule}, {wanted} at least expected; model {'un' * same}changed")
        return raised >= self._attack.alerts and same

    def _raised(self) -> int:
        """Return how many alerts came that the attack should raise."""
        told = self.tally.alerts.get(self._attack.rule) if self._attack else None
        return told.count if told else 0

    @contextmanager
    def _worker(self, address: str) -> Iterator["subprocess.Popen[bytes]"]:
        port = free_port("127.0.0.1")
        options = {
            "--bootstrap": address,
            "--store": self._directory / "store",
            "--state": self._directory / "state",
            "--keys": self._keys,
            "--web-port": port,
        }
        command = ("serve", "--no-require-mac", *_FAST_FETCH_OPTION, *_options(options))
        with _process(command, self._log) as worker:
            _say("the worker verifies the model and joins …")
            self._wait_until_ready(worker, f"http://127.0.0.1:{port}/health/ready", self._log)
            yield worker

    @contextmanager
    def _console(self, address: str) -> Iterator[str | None]:
        """Serve the console and give its address; None without."""
        if self._console_port is None:
            yield None
            return
        options = {
            "--bootstrap": address,
            "--store": self._directory / "store",
            "--keys": self._keys,
            "--console-port": self._console_port,
        }
        log = self._directory / "console.log"
        with _process(("console", *_FAST_FETCH_OPTION, *_options(options)), log) as console:
            page = f"http://127.0.0.1:{self._console_port}"
            if self._wait_until_ready(console, f"{page}/health", log):
                _say(f"console {page}")
            yield page

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]", page: str, log: Path) -> bool:
        """Wait until a page answers; return False where the demo is stopped before that. Raises `UserError`."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._stopped.wait(0.1):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"demo: expected an answer at {page}, the log:\n{log.read_text()[-2000:]}")
            with suppress(OSError), urllib.request.urlopen(page, timeout=1) as answer:  # noqa: S310 - our own page
                if answer.status == 200:
                    return True
        return False

    def _watch(self, address: str, reader: TopicReader, worker: "subprocess.Popen[bytes]", view: LiveView) -> None:
        produce = partial(self._produce, address, view)
        producer = threading.Thread(target=self._or_fail, args=(produce,), name="producer", daemon=True)
        started = time.monotonic()
        producer.start()
        sent_at = None
        while True:
            self._take(reader)
            if worker.poll() is not None:
                raise UserError(f"demo: expected the worker to run, it ended:\n{self._log.read_text()[-2000:]}")
            now = time.monotonic()
            if self._attack and self._attack.run and not self._attacked and now - started > _ATTACK_S:
                self._attack_begins()
                attack = partial(self._attack.run, self._settings(address))
                threading.Thread(target=self._or_fail, args=(attack,), name="attack", daemon=True).start()
            if self._seconds is not None and now - started > self._seconds:
                self._stopped.set()
            if self._failure is not None:
                raise self._failure
            if producer.is_alive():
                continue
            sent_at = sent_at or now
            settled = self.tally.unaccounted() == 0 and (not self._attacked or self._raised() > 0)
            if not self._sent and (settled or now - sent_at > _SETTLE_TIMEOUT_S):
                self._take(reader)  # whatever came twice has had its time to show
                return

    def _take(self, reader: TopicReader) -> None:
        while self._sent:
            event_id, partition, offset, attack = self._sent.popleft()
            if attack:
                self._attack_begins()
            else:
                self.tally.sent(event_id, partition, offset)
        messages = reader.read(0.1)
        now_ms = time.time() * 1000
        for message in messages:
            value = message.value() or b""
            match message.topic():
                case PREDICTIONS.name:
                    self.tally.predicted(value, now_ms)
                case QUARANTINE.name:
                    plain = headers(message)
                    names = (quarantine.ORIGIN_HEADER, quarantine.REASON_HEADER, quarantine.DETAIL_HEADER)
                    self.tally.quarantine(*(plain[name].decode() for name in names))
                case _:
                    self.tally.alerted(value, now_ms / 1000)

    def _produce(self, address: str, view: LiveView) -> None:
        keyring = read_keyring(self._keys, required=True)
        pseudonym_key = read_pseudonym_key(self._keys)
        signer = Signer(keyring)

        def mixed(source: Source, seed: int, after: int) -> Source:
            source = WithMalformed(
                source,
                fraction=_MALFORMED_SHARE,
                seed=seed,
                signer=signer,
                mac_required=False,
                without=[reason for reason, signal in SIGNAL_OF.items() if signal in _ALARMING],
            )
            if self._attack is None or self._attack.run or self._attack_name is None:
                return source
            return WithAttack(source, ATTACKS[self._attack_name], after=after, seed=seed, signer=signer)

        with Publisher(address, keyring=keyring, on_delivered=self._delivered) as publisher:
            view.phase = "replaying the 920 UCI patients"
            run(
                mixed(
                    replay(pseudonym_key=pseudonym_key, outcome_delay_s=_OUTCOME_DELAY_S),
                    self._seed,
                    int(_ATTACK_S * self._rate),
                ),
                publisher,
                Pace(self._rate),
                stop=self._stopped.is_set,
            )
            view.phase = "synthetic patients" + (", until Ctrl-C" if self._seconds is None else "")
            synthetic = SyntheticPatients(pseudonym_key=pseudonym_key, seed=self._seed)
            run(mixed(synthetic, self._seed + 1, 0), publisher, Pace(self._rate), stop=self._stopped.is_set)
            view.phase = "waiting for the last predictions"

    def _attack_begins(self) -> None:
        if self._attack and not self._attacked:
            self._attacked = True
            self.tally.attack_began(time.time())
            _say(f"attack {self._attack_name}: {self._attack.says}")

    def _or_fail(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # raised again in the main thread
            self._failure = error

    def _delivered(self, topic: str, partition: int, offset: int, record: SourceRecord) -> None:
        if topic == EVENTS.name:
            self._sent.append((record.event_id, partition, offset, record.attack is not None))


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one of our own commands, and end it with the context, or with this process however that ends."""
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *command],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            # A demo must not meet a production system that the environment points to.
            env={name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)},
            start_new_session=True,  # Ctrl-C is ours: a worker stops after the last event came back
        )
    # Its input ends when this process dies, even by SIGKILL: the broker is gone then and there is nothing to save.
    watchdog = subprocess.Popen(
        ["sh", "-c", 'read -r _; kill -9 "$1"', "sh", str(process.pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        watchdog.kill()
        watchdog.communicate()
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _options(given: Mapping[str, object]) -> list[str]:
    return [str(part) for option in given.items() for part in option]


def _console_port(wanted: int | None) -> int:
    """Return the port that was asked for; or the usual one, unless it is taken."""
    if wanted:
        return wanted
    usual = Settings().console_port
    if wanted is None:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", usual))
            return usual
    return free_port("127.0.0.1")


@contextmanager
def _lines(view: LiveView) -> Iterator[None]:
    """Instead of the live view: a line every two seconds on standard error."""
    done = threading.Event()

    def tell() -> None:
        while not done.wait(2.0):
            _say(view.line())

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _say(text: str) -> None:
    click.echo(text, err=True)
