"""The console in a browser, over a real Kafka and a real worker: what a person sees, by eye and by keyboard."""

import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, Page, expect

from cli.keyfiles import read_console_token
from contracts.alerts import Rule, alert
from contracts.codec import encode
from contracts.metrics import METRICS
from contracts.topics import MODEL_ALERTS, QUARANTINE, RELEASES, SECURITY_ALERTS, SIGNALS
from tests.integration.stream import Patients, SteadyLoad, Stream
from tests.support.broker import Broker
from tests.support.console import ConsoleProcess
from tests.support.serving import Serving, get
from tests.support.site import Site
from tests.support.waiting import wait_for

SOON_MS = 60_000
"""Long for a busy machine: on an idle one what is waited for takes a second or two."""

HOSTILE = '"><img src=x onerror="document.title=1"><script>document.title=2</script>\u202e'


@dataclass
class System:
    """A worker over fresh topics with patients coming in, and the console over them."""

    site: Site
    stream: Stream
    serving: Serving
    console: ConsoleProcess
    log: Path

    def tell(self, source: str, rule: str = "replayed-events", id: str | None = None) -> None:
        """Write an alert as a worker would, of a source of any name."""
        built = alert(
            Rule(rule, "Events that came before", "1", f"docs/runbooks/{rule}.md"),
            f"Events that came before: 20 of {source}",
            at_ms=1_790_000_000_000,
            dataset="security",
            severity="high",
            technique=("AML.T0091", "Use Alternate Authentication Material"),
            labels={"source": source, "seen": "20"},
            id=id,
        )
        producer = Producer({"bootstrap.servers": self.stream.bootstrap})
        producer.produce(self.stream.prefix + SECURITY_ALERTS.name, encode(built), source.encode())
        assert producer.flush(30) == 0


@pytest.fixture(scope="module")
def system(kafka: Broker, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("console")
    prefix = kafka.topics("console")
    stream = Stream(kafka, prefix)
    serving = Serving(site, kafka.bootstrap, prefix, directory / "worker")
    console = ConsoleProcess(site, kafka.bootstrap, prefix, directory / "console")
    with serving, SteadyLoad(stream, site, rate=40):
        serving.start().wait_until_ready()
        with console:
            yield System(site, stream, serving, console, directory)
        assert "Traceback" not in console.text()


@dataclass
class Seen:
    """A page, and everything that it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def looking(
    browser: Browser,
    url: str,
    *,
    width: int = 1280,
    scheme: Literal["light", "dark"] = "light",
    errors: bool = False,
) -> Iterator[Seen]:
    """Open the page; unless `errors` are expected, fail where its console has a message or it asked another host."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(SOON_MS)
    try:
        seen = Seen(context.new_page())
        seen.page.on("console", lambda message: seen.complaints.append(message.text))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(url)
        yield seen
        assert errors or seen.complaints == []
        assert [each for each in seen.requests if not each.startswith(url)] == []
    finally:
        context.close()


def live(page: Page) -> None:
    expect(page.locator("#status")).to_have_text("Live", timeout=SOON_MS)


def figure(page: Page, name: str) -> float:
    text = page.locator(f"#now-{name}").inner_text()
    return float(re.sub(r"[^0-9.]", "", text) or "0")


def test_it_tells_prometheus_who_looks_and_what_it_has_read_on_a_port_of_its_own(system: System) -> None:
    url = f"http://127.0.0.1:{system.console.metrics_port}/metrics"
    whole = {system.stream.prefix + topic.name for topic in (SECURITY_ALERTS, MODEL_ALERTS, RELEASES, SIGNALS)}

    def lag() -> dict[str, float]:
        found = re.findall(r'^cardiosentry_console_lag_records\{topic="(\S+)"\} (\S+)$', get(url)[1], re.MULTILINE)
        return {topic: float(value) for topic, value in found}

    before_s = time.time()
    with urllib.request.urlopen(f"{system.console.url}/events", timeout=10) as viewer:  # noqa: S310 - this machine
        assert viewer.readline()
        wait_for(lambda: "\ncardiosentry_console_viewers 1.0\n" in get(url)[1], SOON_MS / 1000)
    system.tell("read/whole")
    wait_for(lambda: lag() == dict.fromkeys(whole, 0.0), SOON_MS / 1000, lambda: str(lag()))
    page = get(url)[1]
    assert "\ncardiosentry_console_let_go_total 0.0\n" in page
    (answered,) = re.findall(r"^cardiosentry_console_kafka_timestamp_seconds (\S+)$", page, re.MULTILINE)
    assert before_s - 10 < float(answered) <= time.time()
    shown = {name for name in re.findall(r"^# TYPE (\S+)", page, re.MULTILINE) if not name.startswith("process_")}
    assert shown == {name for name, metric in METRICS.items() if metric.by == "console"}
    assert get(f"{system.console.url}/metrics")[0] == 404


def test_patients_come_in_and_the_page_shows_them_beside_the_reference(system: System, browser: Browser) -> None:
    with looking(browser, system.console.url) as seen:
        page = seen.page
        live(page)
        # Rates are known of the time before the console was there, latencies only since.
        for name, least in (("rate", 20), ("p50", 0)):
            shown = f"parseFloat(document.getElementById('now-{name}').textContent) > {least}"
            page.wait_for_function(shown, timeout=SOON_MS)
        assert figure(page, "rate") < 400  # some more than are sent, while it catches up on a busy machine
        expect(page.locator("#now-champion")).to_have_text("heart-disease-uci 1.0.0")
        expect(page.locator("#model-table .champion")).to_have_text("champion 1")
        events = page.locator("#drift-note")
        before = events.inner_text()
        expect(page.locator("#drift-columns > li")).to_have_count(15)
        expect(page.locator("li[data-column=sex]")).to_contain_text(
            re.compile(r"as by chance|distance [\d.]+, limit [\d.]+")
        )
        expect(events).not_to_have_text(before, timeout=SOON_MS)  # it goes on without anybody asking
        page.locator("#drift summary").click()
        table = page.locator("#drift-table table")
        expect(table.locator("tbody tr").first).to_contain_text("Age: up to")
        shares = table.locator("tbody tr", has_text="Sex:").locator("td:nth-child(3)").all_inner_texts()
        assert sum(float(share.strip("%<")) for share in shares) == pytest.approx(100, abs=0.5)
        page.locator("#flow summary").click()
        expect(page.locator("#flow-tables table").first).to_contain_text("Events a second")
        assert not re.search(r"pp1_", page.content())  # no pseudonym anywhere


def test_an_attack_is_seen_as_an_alert_that_says_what_why_and_what_to_do(system: System, browser: Browser) -> None:
    with looking(browser, system.console.url) as seen:
        page = seen.page
        live(page)
        overheard = [each for each in Patients(system.site, seed=77).events(60) if each.source][:30]
        system.stream.produce(overheard)
        for _ in range(4):
            system.stream.produce(overheard)
        found = page.locator("details.alert", has_text="Events that came before").first
        expect(found).to_be_visible(timeout=SOON_MS)
        expect(page.locator("#announce")).to_contain_text("New alert, high: Events that came before")
        found.locator("summary").click()
        opened = page.locator("details.alert[open]")  # another source's may be the first one by now
        expect(opened).to_contain_text("AML.T0091 Use Alternate Authentication Material")
        expect(opened.locator(".evidence")).to_contain_text("samples")
        expect(opened.locator(".runbook")).to_contain_text("rotate the source's key")
        expect(page.locator("#now-alerts")).to_have_text(re.compile(r"^[1-9]"), timeout=SOON_MS)  # with the next tick


def test_an_open_alert_that_is_told_again_stays_open_and_keeps_the_keyboard(system: System, browser: Browser) -> None:
    with looking(browser, system.console.url) as seen:
        live(seen.page)
        system.tell("st-mary/again", id="told-again")
        found = seen.page.locator("details.alert", has_text="20 of st-mary/again")
        expect(found).to_be_visible(timeout=SOON_MS)
        # Opened and closed before the browser tells of either: only the last state counts.
        found.evaluate("it => { it.open = true; it.open = false; }")
        found.locator("summary").focus()
        seen.page.keyboard.press("Enter")
        expect(found.locator(".runbook")).to_be_visible()
        system.tell("st-mary/again", id="told-again")
        expect(found.locator(".times")).to_have_text(re.compile("2$"), timeout=SOON_MS)
        expect(found.locator(".evidence")).to_have_count(1)
        expect(found.locator(".runbook")).to_be_visible()
        expect(found.locator("summary")).to_be_focused()


def test_what_goes_to_quarantine_is_counted_by_reason(system: System, browser: Browser) -> None:
    with looking(browser, system.console.url) as seen:
        live(seen.page)
        good = Patients(system.site, seed=78).events(3)
        system.stream.produce([msgspec.structs.replace(each, value=b"no JSON") for each in good])
        row = seen.page.locator("#quarantine-table tbody tr", has_text="Not JSON")
        expect(row.locator("td.number")).to_have_text("3", timeout=SOON_MS)
        # Its bytes may be anything, even a reason that is none.
        producer = Producer({"bootstrap.servers": system.stream.bootstrap})
        topic = system.stream.prefix + QUARANTINE.name
        producer.produce(topic, b"", headers=[("cs-reason", HOSTILE.encode())])
        producer.produce(topic, b"", headers=[("cs-reason", b"empty")])
        assert producer.flush(30) == 0
        expect(seen.page.locator("#quarantine-table")).to_contain_text("Empty", timeout=SOON_MS)
        assert "onerror" not in seen.page.content()


def test_a_record_that_is_no_alert_is_told_and_hides_none(system: System, browser: Browser) -> None:
    producer = Producer({"bootstrap.servers": system.stream.bootstrap})
    producer.produce(system.stream.prefix + SECURITY_ALERTS.name, b'{"Jane": "Doe"}')
    assert producer.flush(30) == 0
    with looking(browser, system.console.url) as seen:
        expect(seen.page.locator("#alerts-note")).to_contain_text("1 record could not be read", timeout=SOON_MS)
        assert "Jane" not in seen.page.content()


def test_a_hostile_source_name_stays_a_name(system: System, browser: Browser) -> None:
    with looking(browser, system.console.url) as seen:
        page = seen.page
        live(page)
        system.tell(HOSTILE, rule="../../health")
        found = page.locator("details.alert", has_text="onerror").first
        expect(found).to_be_visible(timeout=SOON_MS)
        found.locator("summary").click()
        expect(found.locator(".evidence")).to_contain_text(HOSTILE)
        assert page.locator("img[src=x], main script").count() == 0
        assert page.title() == "CardioSentry console"
        seen.complaints[:] = [each for each in seen.complaints if "404" not in each]  # it has no runbook of that name
        assert f"{system.console.url}/runbooks/..%2F..%2Fhealth" in seen.requests


def test_alerts_of_before_are_there_for_whoever_comes_later(system: System, browser: Browser) -> None:
    system.tell("before/anybody", id="1" * 32)
    system.tell("before/anybody", id="1" * 32)
    with looking(browser, system.console.url) as seen:
        found = seen.page.locator("details.alert", has_text="before/anybody")
        expect(found).to_have_count(1, timeout=SOON_MS)
        expect(found).to_contain_text("\u00d72")
        expect(seen.page.locator("#announce")).to_have_text("")  # it is no news


def test_everything_can_be_reached_and_opened_by_keyboard(system: System, browser: Browser) -> None:
    system.tell("keyboard/source")
    with looking(browser, system.console.url) as seen:
        page = seen.page
        live(page)
        expect(page.locator("details.alert").first).to_be_visible()
        walked = []
        for _ in range(40):
            page.keyboard.press("Tab")
            where = page.evaluate(
                "(({tagName, textContent, id}) => [tagName, id || textContent.trim()])(document.activeElement)"
            )
            if where[0] == "BODY":
                break
            walked.append(where)
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", where
        assert walked[0] == ["A", "Skip to content"]
        links = [text for tag, text in walked if tag == "A"]
        assert links[1:6] == ["Alerts", "Flow", "Drift", "Models", "Quarantine"]
        tags = [tag for tag, _ in walked]
        assert tags.index("BUTTON") < tags.index("SUMMARY")
        assert tags.count("SUMMARY") >= 3  # an alert, and both kinds of tables
        page.keyboard.press("Home")
        page.reload()
        live(page)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        opened = page.locator("details.alert[open]")
        expect(opened.locator(".evidence")).to_be_visible()
        names = page.evaluate("[...document.querySelectorAll('header, nav, main, footer')].map(({tagName}) => tagName)")
        assert sorted(names) == ["FOOTER", "HEADER", "MAIN", "NAV"]


@pytest.mark.parametrize("width", [360, 700, 1280, 2200])
def test_nothing_is_cut_off_at_any_width(system: System, browser: Browser, width: int) -> None:
    system.tell("a-source-of-a-very-long-name/" + "x" * 100)
    with looking(browser, system.console.url, width=width) as seen:
        page = seen.page
        live(page)
        page.locator("details.alert").first.locator("summary").click()
        page.locator("#drift summary").click()
        page.locator("#flow summary").click()
        expect(page.locator("#drift-table table")).to_be_visible()
        expect(page.locator("#flow-tables table").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        beyond = "(each) => each.getBoundingClientRect().right > innerWidth + 1"
        assert page.evaluate(f"[...document.querySelectorAll('main *')].filter({beyond}).length") == 0


def test_the_theme_is_the_system_s_until_somebody_chooses(system: System, browser: Browser) -> None:
    def brightness(page: Page) -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    with looking(browser, system.console.url, scheme="light") as seen:
        assert brightness(seen.page) > 200
    with looking(browser, system.console.url, scheme="dark") as seen:
        page = seen.page
        button = page.get_by_role("button", name="Dark theme")
        assert brightness(page) < 50
        expect(button).to_have_attribute("aria-pressed", "true")
        button.click()
        assert brightness(page) > 200
        page.reload()
        assert brightness(page) > 200
        expect(button).to_have_attribute("aria-pressed", "false")


def test_a_console_that_restarts_is_said_to_be_gone_and_found_again(system: System, browser: Browser) -> None:
    with looking(browser, system.console.url, errors=True) as seen:
        page = seen.page
        live(page)
        assert system.console.stop() == 0
        expect(page.locator("#status")).to_contain_text("Stale: nothing since", timeout=SOON_MS)
        system.console.start()
        live(page)
        system.tell("after/the-restart")
        expect(page.locator("details.alert", has_text="after/the-restart")).to_be_visible(timeout=SOON_MS)


def test_beyond_this_machine_the_page_takes_the_token(kafka: Broker, system: System, browser: Browser) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - what is to be refused without the token
    token = read_console_token(system.site.keys, {})
    assert token
    log = system.log / "elsewhere"
    with ConsoleProcess(system.site, kafka.bootstrap, system.stream.prefix, log, host=everywhere) as console:
        assert get(f"{console.url}/events")[0] == 401
        with looking(browser, console.url, errors=True) as seen:
            page = seen.page
            assert page.url.endswith("/login")
            page.get_by_label("Token of the console").fill("wrong")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_contain_text("not the token")
            page.get_by_label("Token of the console").fill(token)
            page.keyboard.press("Enter")
            live(page)
            assert page.evaluate("document.cookie") == ""  # no script can read it
            (cookie,) = page.context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            page.context.clear_cookies()
            console.stop()
            console.start()
            page.wait_for_url("**/login", timeout=SOON_MS)
        assert token not in console.text()
