"""An attack in a run: its pace, its count, and the command that starts it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cardiosentry
from contracts.topics import EVENTS
from producers.attacks.catalogue import ATTACKS
from producers.pacing import Pace
from producers.run import run
from tests.producers.attacked import under
from tests.producers.support import FakeClock, ListSink
from tests.producers.test_publish import MockCluster


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a key directory made by the command."""
    keys = tmp_path_factory.mktemp("attack") / "keys"
    made = CliRunner().invoke(cardiosentry, ["keys", "generate", str(keys), "--signer", "Ada", "--source", "synthetic"])
    assert made.exit_code == 0
    return keys


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    cluster = MockCluster()
    yield cluster.address
    cluster.stop()


def paced(name: str, rate: float, limit: int) -> tuple[ListSink, int, float]:
    """Run an attack at a rate; return the sink, how many records were the attack's, and the seconds it took."""
    clock = FakeClock()
    sink = ListSink(clock)
    done = run(under(name), sink, Pace(rate, clock=clock), limit=limit, clock=clock)
    assert done.sent == len(sink.got)
    return sink, done.attacked, clock() - 100.0


def test_a_flood_comes_on_top_of_the_rate_and_the_limit() -> None:
    sink, count, seconds = paced("flood", 100, 1000)
    records = [record for _, record in sink.got if record.topic is EVENTS]
    assert count == sum(record.attack == "added" for record in records) == pytest.approx(9 * 700, rel=0.05)
    assert sum(record.attack is None for record in records) == 1000
    assert seconds == pytest.approx(11, abs=1)  # the last outcomes come a second later


def test_what_is_silenced_is_counted_and_not_sent_and_nobody_speaks_more_for_it() -> None:
    sink, count, seconds = paced("silence", 100, 1000)
    records = [record for _, record in sink.got]
    assert not any(record.attack for record in records)
    assert len(records) + count == 2000
    assert 100 < count < 1400
    assert seconds == pytest.approx(11, abs=1)


def test_list_names_every_attack_with_technique_and_sentence() -> None:
    done = CliRunner().invoke(cardiosentry, ["produce", "--attack", "list"])
    assert done.exit_code == 0
    for attack in ATTACKS.values():
        assert re.search(rf"^{attack.name} .*{re.escape(attack.technique[0])}", done.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--attack", "nobody"], r"expected `list` or one of unsigned, .*trigger-slow; got 'nobody'"),
        (["--attack", "label-poisoning"], "expected --outcome-delay"),
        (["--attack", "borrowed-key", "--no-sign"], "expected a stream that is signed"),
        (["--attack", "replay", "--attack-share", "1"], "less than 1"),
    ],
    ids=["unknown name", "no outcomes", "no keys", "no room for the clean stream"],
)
def test_wrong_usage_says_what_was_expected(arguments: list[str], says: str, keys: Path) -> None:
    done = CliRunner().invoke(cardiosentry, ["produce", "synthetic", *arguments, "--keys", str(keys)])
    assert done.exit_code == 2
    assert re.search(says, done.output)


def test_producing_says_when_the_attack_begins_and_what_it_did(broker: str, keys: Path) -> None:
    options = ["--limit", "400", "--seed", "1", "--attack", "replay", "--bootstrap", broker, "--keys", str(keys)]
    done = CliRunner().invoke(cardiosentry, ["produce", "synthetic", *options, "--attack-after", "200"])
    assert done.exit_code == 0
    delivered = re.search(r"^delivered (\d+) of \1 records, 0 failed$", done.stdout, re.MULTILINE)
    begins, ended = (line for line in done.stderr.splitlines() if not line.startswith("sent "))
    assert delivered
    assert begins == "attack replay begins"
    assert ended == f"attack replay: added {int(delivered[1]) - 400} records"
    assert int(delivered[1]) > 400


def test_producing_says_why_an_attack_did_nothing(broker: str, keys: Path) -> None:
    options = ["--limit", "100", "--attack", "trigger", "--bootstrap", broker, "--keys", str(keys)]
    done = CliRunner().invoke(cardiosentry, ["produce", "synthetic", *options])
    assert done.exit_code == 0
    assert done.stderr.endswith("attack trigger: changed 0 records; it begins after 500 events\n")
    assert "begins\n" not in done.stderr
