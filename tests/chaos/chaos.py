"""The crash test: workers and broker are killed at random while patient events flow; every one must come out once.

    python -m tests.chaos.chaos --events 300000 --kills 10 --broker-restarts 2

A real broker of its own, `cardiosentry serve --workers 3` as users run it, signed events with malformed ones among
them. Blows fall at random points of the stream: SIGKILL to a worker (the supervisor starts it again), the broker
stopped and started (every second time by SIGKILL, and then a worker is killed while it is away), SIGKILL to the
supervisor (its workers must stop by themselves; a new `serve` goes on). Most blows wait until the system is at rest,
the others fall on top of the last. At the end a read_committed reader must have every event exactly once, in
predictions or in quarantine, each patient's in their order; after a worker's death output of every partition must flow
again within 10 s. The last line printed is a JSON object; exit code 0 only if all that holds.
"""

import argparse
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec
import psutil
from confluent_kafka.admin import AdminClient

from contracts.topics import PREDICTIONS, TOPICS
from tests.chaos.ledger import Findings, Ledger, recovery_s
from tests.chaos.releases import Releases, not_live, pauses_ms, shares
from tests.chaos.traffic import Reader, Sender
from tests.support.broker import create_topics, end_offsets, new_topic
from tests.support.embedded import PARTITIONS
from tests.support.kafka import KafkaServer
from tests.support.serving import Serving
from tests.support.site import Site, make_site
from tests.support.waiting import wait_for

_STALLED_S = 60.0
_RESTLESS_S = 120.0
_FIRST, _LAST = 0.05, 0.85  # of the events: blows fall between
_AT_REST_S = 0.3  # of traffic on the way through the system: a quarter of it, one partition's, stands out within 2 s
_HASTY = 0.3  # of the kills do not wait for that


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. A seed gives the same patients and blows, not the same times.

    At least `events` are sent, at `rate` a second, and on until the system has recovered from the last blow; the share
    `malformed` of them is spoiled.
    """

    events: int = 300_000
    rate: float = 10_000
    malformed: float = 0.005
    workers: int = 3
    kills: int = 10
    broker_restarts: int = 2
    supervisor_kills: int = 1
    releases: int = 0
    max_recovery_s: float = 10.0
    seed: int = 0


class Blow(msgspec.Struct, kw_only=True):
    """One thing that was done to the system, and how long it took until every partition's output flowed again.

    `recovery_s` is without the time in which the broker was away. `overtaken`: the next blow fell before that, so the
    time says nothing of this blow alone.
    """

    kind: str
    at_event: int
    at_s: float
    recovery_s: float | None = None
    overtaken: bool = False


class Summary(msgspec.Struct, kw_only=True):
    """The result; `ok` says whether everything held. Times in seconds."""

    ok: bool
    seed: int
    sent: int
    quarantined: int
    findings: Findings
    kills: int
    max_recovery_s: float | None
    blows: list[Blow]
    outages_s: list[float]
    releases: int
    not_live: int
    swap_pause_ms: dict[str, float]
    other_pause_ms: dict[str, float]
    foreign_exits: list[int]
    errors: list[str]
    stop_s: float
    seconds: float


class _Over(Exception):
    """The run cannot go on; the text says why."""


class Chaos:
    """One run over a broker that it may stop."""

    def __init__(self, kafka: KafkaServer, site: Site, log: Path, options: Options, say: Callable[[str], None]) -> None:
        self._kafka, self._site, self._log, self._options, self._say = kafka, site, log, options, say
        self._rng = random.Random(options.seed)
        self._prefix = f"chaos-{options.seed}-"
        self._ledger = Ledger()
        self._blows: list[Blow] = []
        self._outages: list[tuple[float, float]] = []
        self._killed = 0
        self._errors: list[str] = []
        self._started_s = time.time()

    def run(self) -> Summary:
        """Run to the end and judge; a system that stands still, or traffic that fails, ends the run early."""
        options = self._options
        create_topics(self._kafka.bootstrap, [new_topic(topic, self._prefix, PARTITIONS) for topic in TOPICS])
        self._reader = Reader(self._kafka.bootstrap, self._prefix, self._ledger, PARTITIONS)
        self._sender = Sender(
            self._kafka.bootstrap,
            self._prefix,
            self._site,
            self._ledger,
            events=options.events,
            rate=options.rate,
            malformed=options.malformed,
            seed=options.seed,
        )
        self._serving = Serving(self._site, self._kafka.bootstrap, self._prefix, self._log, workers=options.workers)
        with self._serving.start().wait_until_ready(options.workers), tempfile.TemporaryDirectory() as bundles:
            self._releases = Releases(self._site, self._kafka.bootstrap, self._prefix, Path(bundles), options.releases)
            self._reader.start()
            self._sender.start()
            try:
                self._strike()
                self._wait(lambda: self._ledger.seen_count >= self._ledger.sent_count)
            except _Over as over:
                self._errors += [str(over), *self._diagnosis()]
            started = time.monotonic()
            code = self._serving.stop()
            stop_s = time.monotonic() - started
        self._sender.stop()
        self._reader.finish()
        if self._reader.failure is not None:
            self._errors.append(f"reader: {self._reader.failure}")
        return self._judge(code, stop_s)

    def _strike(self) -> None:
        """Let the blows fall, then end the traffic."""
        for at_event, strike in self._plan():
            self._wait(lambda at=at_event: self._sender.made >= at)  # type: ignore[misc]
            if strike != self._releases and (strike != self._kill_worker or self._rng.random() > _HASTY):
                self._wait(self._at_rest, _RESTLESS_S)
            strike()
        self._wait(self._at_rest, _RESTLESS_S)
        self._sender.stop_wanted = True
        self._wait(lambda: not self._sender.is_alive())

    def _at_rest(self) -> bool:
        """Whether what was made since the last blow has come through, but for what is on its way."""
        since_s = time.time() - self._blows[-1].at_s if self._blows else 1.0
        behind = self._sender.made - self._ledger.seen_count
        return since_s > 2 * _AT_REST_S and behind < _AT_REST_S * self._options.rate

    def _plan(self) -> list[tuple[int, Callable[[], None]]]:
        options = self._options
        clean = options.broker_restarts // 2
        hard = options.broker_restarts - clean
        strikes: list[Callable[[], None]] = [
            *[self._kill_worker] * (options.kills - min(hard, options.kills)),
            *[self._kill_broker] * hard,
            *[self._stop_broker] * clean,
            *[self._kill_supervisor] * options.supervisor_kills,
            *[self._releases] * options.releases,
        ]
        self._rng.shuffle(strikes)
        points = sorted(self._rng.uniform(_FIRST, _LAST) for _ in strikes)
        return [(int(point * options.events), strike) for point, strike in zip(points, strikes, strict=True)]

    # The blows

    def _kill_worker(self) -> None:
        while True:
            wait_for(lambda: bool(self._serving.workers()), 30, self._serving.text)
            worker = self._rng.choice(sorted(self._serving.workers(), key=lambda process: process.pid))
            with contextlib.suppress(psutil.NoSuchProcess):
                self._note("worker killed")
                worker.kill()
                self._killed += 1
                return

    def _stop_broker(self) -> None:
        self._broker_away("broker stopped", self._kafka.stop)

    def _kill_broker(self) -> None:
        self._broker_away("broker killed", self._kafka.kill, self._kill_worker if self._options.kills else None)

    def _broker_away(self, kind: str, end: Callable[[], None], meanwhile: Callable[[], None] | None = None) -> None:
        self._note(kind)
        down_s = time.time()
        end()
        time.sleep(1.0)  # what is sent now waits in the sender
        self._sender.uptime.pause()
        if meanwhile:
            meanwhile()
        time.sleep(self._rng.uniform(0, 3))
        self._kafka.start()
        self._outages.append((down_s, time.time()))
        self._sender.uptime.resume()
        self._say(f"broker back after {time.time() - down_s:.1f} s")

    def _kill_supervisor(self) -> None:
        self._note("supervisor killed")
        self._serving.stop(signal.SIGKILL)
        self._serving.wait_until_workers_are_gone()
        self._serving.start()

    def _note(self, kind: str) -> None:
        self._say(f"{kind} after {self._sender.made} events, {self._ledger.seen_count} out")
        self._blows.append(Blow(kind=kind, at_event=self._sender.made, at_s=time.time()))

    def _wait(self, condition: Callable[[], bool], at_most_s: float = float("inf")) -> None:
        """Wait for `condition`; raise `_Over` when a thread failed, nothing comes out for a minute, or time is up."""
        seen, moved_at = -1, time.monotonic()
        deadline = moved_at + at_most_s
        while not condition():
            for thread in (self._sender, self._reader):
                if thread.failure is not None:
                    raise _Over(f"{thread.name}: {thread.failure}")
            if self._ledger.seen_count != seen:
                seen, moved_at = self._ledger.seen_count, time.monotonic()
            if time.monotonic() - moved_at > _STALLED_S:
                raise _Over(f"nothing came out for {_STALLED_S:.0f} s: {self._sender.made} made, {seen} out")
            if time.monotonic() > deadline:
                raise _Over(f"not at rest within {at_most_s:.0f} s: {self._sender.made} made, {seen} out")
            time.sleep(0.01)

    def _diagnosis(self) -> list[str]:
        """Say where the events stand: in which worker, and behind whose open transaction."""
        names = ("assigned_partitions", "lag_records", "records_total", "commits_total", "rewinds_total")
        said = []
        for slot in range(self._options.workers):
            values = [f"{name} {self._serving.metric('cardiosentry_' + name, slot):.0f}" for name in names]
            said.append(f"worker {slot}: {', '.join(values)}")
        admin = AdminClient({"bootstrap.servers": self._kafka.bootstrap, "log_level": 3})
        for committed in True, False:
            ends = end_offsets(admin, self._prefix + PREDICTIONS.name, committed=committed)
            said.append(f"predictions {'committed' if committed else 'written'}: {sum(ends.values())} records")
        return said

    # The judgement

    def _judge(self, code: int, stop_s: float) -> Summary:
        findings = self._ledger.judge()
        arrivals = self._ledger.arrivals()
        for blow, following in zip_longest(self._blows, self._blows[1:]):
            blow.recovery_s = recovery_s(blow.at_s, arrivals, PARTITIONS, self._outages)
            flowed_s = recovery_s(blow.at_s, arrivals, PARTITIONS)
            blow.overtaken = following is not None and (flowed_s is None or blow.at_s + flowed_s > following.at_s)
        deaths = [blow.recovery_s for blow in self._blows if blow.kind == "worker killed" and not blow.overtaken]
        known = [seconds for seconds in deaths if seconds is not None]
        foreign = [exit_ for exit_ in self._serving.exits() if exit_ != -signal.SIGKILL]
        errors = [*self._errors]
        errors += [line for line in self._serving.text().splitlines() if "CRITICAL" in line or "Traceback" in line]
        if code:
            errors.append(f"serve: expected exit code 0 at its stop, got {code}")
        if len(self._serving.exits()) > self._killed:
            errors.append(f"expected {self._killed} deaths, the supervisor saw {len(self._serving.exits())}")
        if self._ledger.sent_count != self._sender.made:
            errors.append(f"expected {self._sender.made} confirmed events, got {self._ledger.sent_count}")
        made = self._ledger.made()
        wrong = not_live(made, self._releases.live)
        swaps, others = pauses_ms(made, [blow.at_s for blow in self._blows])
        if len(self._releases.live) != 1 + self._options.releases:
            errors.append(f"expected {self._options.releases} releases, made {len(self._releases.live) - 1}")
        recovered = len(known) == len(deaths) and all(seconds <= self._options.max_recovery_s for seconds in known)
        return Summary(
            ok=findings.none and recovered and not (wrong or foreign or errors) and self._killed == self._options.kills,
            seed=self._options.seed,
            sent=self._ledger.sent_count,
            quarantined=self._ledger.quarantined_count,
            findings=findings,
            kills=self._killed,
            max_recovery_s=max(known, default=None),
            blows=self._blows,
            outages_s=[up_s - down_s for down_s, up_s in self._outages],
            releases=self._options.releases,
            not_live=wrong,
            swap_pause_ms=shares(swaps),
            other_pause_ms=shares(others),
            foreign_exits=foreign,
            errors=errors,
            stop_s=stop_s,
            seconds=time.time() - self._started_s,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the crash test with options from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    for field in msgspec.structs.fields(Options):
        if field.name != "seed":
            parser.add_argument(
                "--" + field.name.replace("_", "-"),
                type=type(field.default),
                default=field.default,
                help="[%(default)s]",
            )
    parser.add_argument("--seed", type=int, help="[a new one, printed]")
    parser.add_argument(
        "--log", type=Path, default=Path(".cache/chaos.log"), help="what the workers write [%(default)s]"
    )
    given = vars(parser.parse_args(arguments))
    log = given.pop("log")
    given["seed"] = random.SystemRandom().randrange(10**6) if given["seed"] is None else given["seed"]
    options = Options(**given)
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {line}", file=sys.stderr, flush=True)

    say(f"seed {options.seed}: {options.events} events, workers write to {log}")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="cardiosentry-chaos-") as directory, KafkaServer() as kafka:
        summary = Chaos(kafka, make_site(Path(directory)), log, options, say).run()
    say("until output of every partition flowed again:")
    for blow in summary.blows:
        shown = "never" if blow.recovery_s is None else f"{blow.recovery_s:.1f} s"
        say(f"{blow.kind} after {blow.at_event} events: {shown}{', overtaken by the next' * blow.overtaken}")
    print(msgspec.json.encode(summary).decode())
    return 0 if summary.ok else 1


if __name__ == "__main__":
    sys.exit(main())
