"""Waits for reasons to retrain, and begins runs, one at a time."""

import asyncio
import logging
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path

import msgspec
from aiohttp import web
from confluent_kafka import KafkaException

from cli.kafka import client_properties
from cli.main import told
from cli.releasing import now_ms, read_releases
from cli.retrain import EXIT_BUSY, EXIT_REFUSED, Order, retrain
from contracts.alerts import Alert
from contracts.errors import RetryableError, UserError
from contracts.releases import DAY_MS
from contracts.topics import MODEL_ALERTS, OUTCOMES
from models.files import create
from models.pipeline import run as pipeline
from models.pipeline.run import Trigger
from models.pipeline.snapshot import MANIFEST_FILE, Manifest, Places
from models.pipeline.triggers import Situation, Told, TriggerPolicy
from models.pipeline.triggers import due as reason_to_retrain
from models.pipeline.webhook import MAX_BODY_BYTES, Host, Unbelieved, Unreadable, check_headers, read_request
from monitoring.meters import Meters
from monitoring.reader import TopicReader

log = logging.getLogger("cardiosentry")

SECRET_FILE = "webhook.secret"  # noqa: S105 - the file's name
_SAID = {0: "released", EXIT_REFUSED: "a gate said no", EXIT_BUSY: "waiting: another run is under way"}
_REASONS = ("timer", "outcomes", "alert", "commit")
_COMMITS_FILE = "commits.json"
_BODIES, _BODY_S = 2, 30.0  # read at a time, of 25 MB each at most
_AGAIN_S = 600.0  # until a run that broke is gone on with


class Triggers:
    """Begins the runs of an `order` when `policy` calls for one, looking every `look_s` seconds.

    `beat` is called at each look, and often while a run is under way; `meters` are given what to show.
    """

    def __init__(
        self, order: Order, policy: TriggerPolicy, look_s: float, beat: Callable[[], None], meters: Meters
    ) -> None:
        self._order = order
        self._beat = beat
        self._policy = policy
        self._look_s = look_s
        self._commits = _read_commits(order.runs)
        self._called = asyncio.Event()
        self._broke_at = float("-inf")
        self._said = ""
        self._looked_at, self._running, self._frozen = 0.0, False, False
        self._begun = dict.fromkeys(_REASONS, 0)
        meters.add("cardiosentry_triggers_looked_timestamp_seconds", lambda: {"": self._looked_at})
        meters.add("cardiosentry_triggers_running", lambda: {"": self._running})
        meters.add("cardiosentry_triggers_frozen", lambda: {"": self._frozen})
        meters.add("cardiosentry_triggers_commits_waiting", lambda: {"": len(self._commits)})
        meters.add("cardiosentry_triggers_runs_total", lambda: self._begun)

    async def run(self, serve: Callable[[], AbstractAsyncContextManager[None]] | None = None) -> None:
        """Look for reasons until SIGINT or SIGTERM; a run under way is ended then, and gone on with at the next start.

        `serve` is entered meanwhile: what hands commits to `call`.
        """
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        async with serve() if serve else nullcontext():
            self._say("waiting for reasons to retrain")
            working = asyncio.create_task(self._work())
            stopping = asyncio.create_task(stopped.wait())
            done, _ = await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in (working, stopping):
                task.cancel()
            if working in done:
                working.result()

    def call(self, trigger: Trigger) -> str:
        """Take a commit; return what becomes of it. Those that come during a run begin one together after it."""
        if any(trigger.says == each.says for each in self._commits) or trigger.says in _known(self._order.runs):
            return "known"
        self._keep([*self._commits, trigger])
        self._called.set()
        return "queued"

    async def _work(self) -> None:
        while True:
            self._called.clear()
            self._beat()
            try:
                order = await self._look()
                self._looked_at = time.time()
                if order is not None:
                    await self._retrain(order)
            except (UserError, RetryableError, KafkaException, OSError, ValueError) as error:  # a broker comes back
                self._say(f"cannot tell whether to retrain: {error}")
            try:
                await asyncio.wait_for(self._called.wait(), self._look_s)
            except TimeoutError:
                continue

    async def _look(self) -> Order | None:
        """Return a run to begin or to go on with, None where nothing calls for one now or a freeze forbids it."""
        order, resume = self._order, None
        if time.monotonic() - self._broke_at <= _AGAIN_S:
            return None
        if not self._commits and pipeline.unfinished(order.runs):
            reasons, resume = pipeline.read_run(pipeline.all_runs(order.runs)[-1]).triggers, "last"
        else:
            due = None if self._commits else await asyncio.to_thread(self._due)
            reasons = (*self._commits, *filter(None, (due,)))
        if not reasons:
            self._frozen = False
            return None
        frozen = (await asyncio.to_thread(read_releases, order.settings)).in_force("freeze-retraining")
        self._frozen = frozen is not None
        if frozen is not None:
            self._say(f"retraining is frozen by {', '.join(frozen.signed_by)}")
            return None
        return order.of(*reasons, resume=resume)

    async def _retrain(self, order: Order) -> None:
        self._say(f"retrain: {order.triggers[0].says}")
        process = get_context("spawn").Process(target=_run, args=(order,))
        process.start()
        self._running = True
        try:
            while process.is_alive():
                self._beat()
                await asyncio.to_thread(process.join, 5.0)
        finally:  # cancelled: the run is gone on with at the next start
            process.terminate()
            process.join()
            self._running = False
        if order.resume is None and process.exitcode != EXIT_BUSY:
            self._begun[order.triggers[0].kind] += 1
        self._keep([commit for commit in self._commits if commit.says not in _known(order.runs)])
        if process.exitcode not in _SAID:
            self._broke_at = time.monotonic()
        self._say(_SAID.get(process.exitcode or 0, "broken, gone on with later"))

    def _due(self) -> Trigger | None:
        order = self._order
        began_ms, read = _last(order.runs)
        prefix, properties = order.settings.topic_prefix, client_properties(order.settings)
        with TopicReader(properties, [prefix + OUTCOMES.name]) as reader:
            of = read.get(OUTCOMES.name, {})
            outcomes = sum(
                max(0, high - max(low, of.get(partition, (0, 0))[1]))  # less than nothing in a topic made anew
                for (_, partition), (low, high) in reader.places().items()
            )
        alert = None
        with TopicReader(properties, [prefix + MODEL_ALERTS.name], beginning=True) as reader:
            for message in reader.between(reader.places(began_ms)):
                rule = _rule_of(message.value() or b"")
                at_ms = message.timestamp()[1]
                if rule in self._policy.rules and 0 <= at_ms <= now_ms() + DAY_MS:
                    alert = Told(rule, at_ms)
                    break
        return reason_to_retrain(self._policy, Situation(began_ms, outcomes, alert), now_ms())

    def _keep(self, commits: list[Trigger]) -> None:
        """Remember what waits for a run, before the code host is told that it does."""
        self._order.runs.mkdir(parents=True, exist_ok=True)
        pipeline.write_whole(self._order.runs / _COMMITS_FILE, msgspec.json.encode(commits))
        self._commits = commits

    def _say(self, line: str) -> None:
        """Tell what changed, once."""
        if line != self._said:
            print(f"{pipeline.now()} {line}", file=sys.stderr, flush=True)
            self._said = line


def _run(order: Order) -> None:
    told(lambda: sys.exit(retrain(order)))


def _read_commits(runs: Path) -> list[Trigger]:
    path = runs / _COMMITS_FILE
    return msgspec.json.decode(path.read_bytes(), type=list[Trigger]) if path.exists() else []


def _rule_of(content: bytes) -> str:
    """Return the rule of an alert, none of what is no alert: that calls for nothing."""
    try:
        return msgspec.json.decode(content, type=Alert).rule.id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _last(runs: Path) -> tuple[int | None, Places]:
    """Return when the last run that collected began (epoch milliseconds), and which records it read."""
    began_ms = None
    for path in sorted(runs.glob(f"*/collect/{MANIFEST_FILE}"), reverse=True):
        if began_ms is None:
            began_ms = pipeline.from_time(pipeline.read_run(path.parents[1]).triggers[0].at)
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        if manifest.places:  # one from a CSV file read no topic
            return began_ms, manifest.places
    return began_ms, {}


def _known(runs: Path) -> set[str]:
    """Return what the triggers of all runs say."""
    return {trigger.says for path in pipeline.all_runs(runs) for trigger in pipeline.read_run(path).triggers}


def read_secret(keys: Path) -> bytes:
    """Return the secret that the code host knows too; make it where there is none."""
    path = keys / SECRET_FILE
    if not path.exists():
        create(path, f"{secrets.token_urlsafe(32)}\n".encode(), mode=0o600)
    secret = path.read_bytes().strip()
    if len(secret) < 32:
        raise UserError(f"{path}: expected a secret of at least 32 characters, got {len(secret)}")
    return secret


@asynccontextmanager
async def listen(address: str, secret: bytes, triggers: Triggers) -> AsyncIterator[None]:
    """Take the requests of GitHub and GitLab at an address, host:port."""

    at_once = asyncio.Semaphore(_BODIES)

    async def take(request: web.Request) -> web.Response:
        host: Host = "github" if request.path == "/github" else "gitlab"
        try:
            check_headers(host, request.headers, secret)
            async with at_once, asyncio.timeout(_BODY_S):
                body = await request.read()
            trigger = read_request(host, request.headers, body, secret, now_ms())
        except Unbelieved:
            log.warning("webhook refused host=%s from=%s", host, request.remote)
            return web.json_response({"error": "expected the webhook's secret"}, status=401)
        except Unreadable as error:
            return web.json_response({"error": str(error)}, status=400)
        said = "no change of the default branch" if trigger is None else triggers.call(trigger)
        return web.json_response({"retrain": said}, status=200 if trigger is None else 202)

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--webhook: expected host:port, got {address}")
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.post("/github", take), web.post("/gitlab", take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host.strip("[]"), int(port))
    try:
        await site.start()
        for bound in runner.addresses:
            print(f"listening on http://{bound[0]}:{bound[1]}/github and /gitlab", file=sys.stderr, flush=True)
        yield
    finally:
        await runner.cleanup()
