"""The attacks: each does what it promises, the same by seed, labelled exactly, and costs the clean stream nothing."""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import cardiosentry
from contracts.codec import decoder
from contracts.events import Outcome
from contracts.features import Matrix, RangeCheck, to_row
from contracts.heart_disease import HEART_DISEASE
from contracts.identifiers import EVENT_ID, PATIENT_ID
from contracts.mac import KEY_ID_HEADER
from contracts.reasons import Reason
from contracts.topics import EVENTS, OUTCOMES
from producers.attacks.attacker import Attacker
from producers.attacks.catalogue import ATTACKS
from producers.attacks.poisoning import TRIGGER
from producers.attacks.public_rows import PublicRows
from producers.attacks.source import WithAttack
from producers.malformed import WithMalformed
from producers.pacing import Pace
from producers.replay import replay
from producers.run import run
from producers.sign import Signer
from producers.sources import SourceRecord
from tests.producers.support import AT_MS, KEYRING, PSEUDONYM_KEY, FakeClock, ListSink, synthetic
from tests.producers.test_malformed import judge, on_the_wire

AFTER = 300
EVENTS_TAKEN = 2000
Records = list[SourceRecord]
decode_outcome = decoder(Outcome)

every_attack = pytest.mark.parametrize("name", ATTACKS)


@cache
def clean() -> Records:
    return list(synthetic(outcome_delay_s=1.0).take(EVENTS_TAKEN, AT_MS))


def under(name: str, *, seed: int = 1, **options: Any) -> WithAttack:
    return WithAttack(
        synthetic(outcome_delay_s=1.0), ATTACKS[name], after=AFTER, seed=seed, signer=Signer(KEYRING), **options
    )


@cache
def taken(name: str, counts: tuple[int, ...] = (EVENTS_TAKEN,), **options: Any) -> Records:
    """Return all records of an attacked stream; a flood answers with fewer than asked for, so ask again."""
    source = under(name, **options)
    records: Records = []
    for count in counts:
        left = count
        while left:
            part = source.take(left, AT_MS)
            left -= sum(record.topic is EVENTS and record.attack != "added" for record in part)
            records += part
    return records


def of_topics(records: Records) -> dict[str, Records]:
    return {topic.name: [record for record in records if record.topic is topic] for topic in (EVENTS, OUTCOMES)}


def attacked(name: str, **options: Any) -> Records:
    return [record for record in taken(name, **options) if record.attack]


def body(record: SourceRecord) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.value or b"")
    return found


def features(records: Records) -> Matrix:
    return np.array([to_row(HEART_DISEASE, body(record)["features"]) for record in records], dtype=np.float32)


@every_attack
def test_the_same_seed_is_the_same_attack_however_it_is_taken(name: str) -> None:
    whole = taken(name)
    assert of_topics(taken(name, (1, 2, 97, 500, 1400))) == of_topics(whole)
    assert of_topics(taken(name, seed=2)) != of_topics(whole) or ATTACKS[name].share == 1


@every_attack
def test_what_is_not_labelled_is_the_clean_stream_in_its_order(name: str) -> None:
    plain, out = of_topics(clean()), of_topics(taken(name))
    for topic, records in out.items():
        if ATTACKS[name].deed == "added":
            assert [record for record in records if not record.attack] == plain[topic]
        else:
            for original, record in zip(plain[topic], records, strict=True):
                assert (record == original) == (record.attack is None)


@every_attack
def test_labels_are_the_attacks_own_kind_on_its_own_topics_and_begin_when_they_should(name: str) -> None:
    attack = ATTACKS[name]
    records = taken(name)
    labelled = [record for record in records if record.attack]
    assert labelled
    assert {record.attack for record in labelled} == {attack.deed}
    assert {record.topic.name for record in labelled} == {topic.name for topic in attack.topics}
    for topic in of_topics(records).values():
        assert not any(record.attack for record in topic[:AFTER])


@every_attack
def test_no_byte_of_an_attack_says_that_it_is_one(name: str) -> None:
    for record in attacked(name):
        sent = repr((record.key, record.value, record.headers))
        assert not re.search(f"attack|{name}", sent)


@every_attack
def test_a_worker_would_judge_every_event_as_the_attack_expects(name: str) -> None:
    lenient = {"unsigned", "unknown-source"}  # refused where a MAC is a must, so nothing is expected
    for record in attacked(name):
        if record.topic is EVENTS and record.attack != "withheld":
            found = judge(on_the_wire(record))
            assert found is (Reason.MAC_MISSING if name in lenient else record.expected)


@every_attack
def test_an_attack_takes_its_share(name: str) -> None:
    attack = ATTACKS[name]
    if attack.deed == "added":
        records = of_topics(taken(name))[EVENTS.name]
        begun = len(records) - AFTER
        count = sum(record.attack is not None for record in records)
        assert count / begun == pytest.approx(attack.share, rel=0.1, abs=0.01)
    else:
        assert len(attacked(name, share=0.4)) / len(attacked(name, share=1.0)) == pytest.approx(0.4, abs=0.06)


Shape = Callable[[Records, Records], bool]


def bytes_came_before(mine: Records, stream: Records) -> bool:
    before: set[bytes] = set()
    for record in stream:
        sent = repr((record.event_id, record.key, record.value, on_the_wire(record).headers)).encode()
        if record.attack and sent not in before:
            return False
        before.add(sent)
    return True


def signature_of_the_original(mine: Records) -> bool:
    signed = {body(record)["event_id"]: on_the_wire(record) for record in clean() if record.topic is EVENTS}
    return all(
        record.headers == signed[body(record)["event_id"]].headers
        and record.value != signed[body(record)["event_id"]].value
        for record in mine
    )


def same_id_other_bytes(mine: Records, stream: Records) -> bool:
    first: dict[str, SourceRecord] = {}
    for record in stream:
        if record.topic is EVENTS and not record.attack:
            first.setdefault(record.event_id, record)
    return all(
        record.value != first[record.event_id].value
        and (record.key, record.source) == (first[record.event_id].key, first[record.event_id].source)
        for record in mine
    )


def of_one_patient(mine: Records) -> bool:
    return len({(record.key, record.source) for record in mine}) == 1 and len({r.event_id for r in mine}) == len(mine)


def of_many_patients(mine: Records) -> bool:
    return len({record.key for record in mine}) == len(mine)


def lags_grow(mine: Records) -> bool:
    times = [body(record)["observed_at"] for record in mine]
    return times == [AT_MS - 1000 * number for number in range(1, len(times) + 1)]


def near_duplicates(mine: Records) -> bool:
    """Whether many queries are next to the one before them, as rows of a clean stream are not."""
    rows, patients = features(mine), features(clean()[:1000])
    return _close(rows) > 0.3 > 10 * _close(patients)


def _close(rows: Matrix) -> float:
    scale = np.nanstd(features(clean()[:1000]), axis=0)
    distance = np.sqrt(np.nansum((np.diff(rows, axis=0) / scale) ** 2, axis=1))
    return float((distance < 1).mean())


def evenly_spread(mine: Records) -> bool:
    """Whether cholesterol and heart rate fill the quarters of their usual ranges alike."""
    rows = features(mine)
    for name in ("chol", "thalch"):
        column = HEART_DISEASE.names.index(name)
        counts, _ = np.histogram(rows[:, column], bins=4, range=HEART_DISEASE.features[column].usual)
        if counts.min() < 0.15 * len(mine):
            return False
    return not np.isnan(rows).any()


def asks_about_public_patients(mine: Records) -> bool:
    public = {row.tobytes() for row in PublicRows().x.astype(np.float32)}
    exact = [row.tobytes() in public for row in features(mine)]
    return exact[0::13].count(True) == len(exact[0::13]) and sum(exact) < 0.2 * len(exact)


def one_value_from_public_patients(mine: Records) -> bool:
    public = PublicRows().x.astype(np.float32)
    return all(((row != public) & ~(np.isnan(row) & np.isnan(public))).sum(axis=1).min() <= 1 for row in features(mine))


def opposite_diagnosis(mine: Records) -> bool:
    true = {
        record.event_id: decode_outcome(record.value or b"").diagnosis for record in of_topics(clean())[OUTCOMES.name]
    }
    return all(decode_outcome(record.value or b"").diagnosis == 1 - true[record.event_id] for record in mine)


def of_one_source(mine: Records) -> bool:
    return len({record.source for record in mine}) == 1


SHAPES: dict[str, Shape] = {
    "unsigned": lambda mine, _: all(record.headers == [] and record.source.startswith("synthetic/") for record in mine),
    "unknown-source": lambda mine, _: all(not KEYRING.covers(r.source) and r.headers == [] for r in mine),
    "unknown-key": lambda mine, _: all(dict(r.headers or [])[KEY_ID_HEADER] != b"k1" for r in mine),
    "borrowed-key": lambda mine, _: all(
        dict(r.headers or [])[KEY_ID_HEADER] == b"k1" and not KEYRING.covers(r.source) for r in mine
    ),
    "tampered": lambda mine, _: signature_of_the_original(mine),
    "replay": bytes_came_before,
    "replay-slow": bytes_came_before,
    "altered-duplicate": same_id_other_bytes,
    "clock-skew": lambda mine, _: of_one_source(mine) and {body(r)["observed_at"] for r in mine} == {AT_MS + 3_600_000},
    "clock-skew-slow": lambda mine, _: of_one_source(mine) and lags_grow(mine),
    "flood": lambda mine, _: of_one_source(mine) and of_many_patients(mine),
    "flood-patient": lambda mine, _: of_one_patient(mine),
    "malformed-flood": lambda mine, _: of_one_source(mine) and len({r.expected for r in mine}) >= 12,
    "silence": lambda mine, stream: (
        of_one_source(mine)
        and not any(r.source == mine[0].source and not r.attack for r in of_topics(stream)[EVENTS.name][AFTER:])
    ),
    "silence-slow": lambda mine, _: (
        of_one_source(mine)
        and {r.event_id for r in mine if r.topic is EVENTS} == {r.event_id for r in mine if r.topic is OUTCOMES}
    ),
    "boundary": lambda mine, _: of_one_patient(mine) and near_duplicates(mine),
    "boundary-slow": lambda mine, _: of_many_patients(mine),
    "extraction": lambda mine, _: of_one_patient(mine) and evenly_spread(mine),
    "extraction-slow": lambda mine, _: of_many_patients(mine) and one_value_from_public_patients(mine),
    "membership": lambda mine, _: of_one_patient(mine) and near_duplicates(mine) and asks_about_public_patients(mine),
    "membership-slow": lambda mine, _: of_many_patients(mine) and asks_about_public_patients(mine),
    "evasion": lambda mine, _: bool((PublicRows().proxy(features(mine).astype(np.float64)) < 0.5).all()),
    "evasion-slow": lambda mine, _: bool((PublicRows().proxy(features(mine).astype(np.float64)) < 0.5).all()),
    "label-poisoning": lambda mine, _: opposite_diagnosis(mine),
    "label-poisoning-slow": lambda mine, _: (
        of_one_source(mine)
        and opposite_diagnosis(mine)
        and {decode_outcome(record.value or b"").diagnosis for record in mine} == {0}
    ),
    "trigger": lambda mine, _: all(TRIGGER.items() <= body(record)["features"].items() for record in mine),
    "trigger-slow": lambda mine, _: all(TRIGGER.items() <= body(record)["features"].items() for record in mine),
}


@every_attack
def test_an_attack_has_the_shape_that_it_promises(name: str) -> None:
    stream = taken(name)
    assert SHAPES[name]([record for record in stream if record.attack], stream)


def answers(rows: Matrix) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Answer as a model might: a sigmoid of age, heart rate and ST depression."""
    age, rate, depression = (
        np.nan_to_num(rows[:, column], nan=middle) for column, middle in ((0, 53), (7, 137), (9, 1))
    )
    found: np.ndarray[tuple[int], np.dtype[np.float64]] = 1 / (
        1 + np.exp(-(0.05 * (age - 53) - 0.04 * (rate - 137) + 0.8 * (depression - 1)))
    )
    return found


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_boundary_probes_close_in_on_the_threshold_of_the_model_that_answers(threshold: float) -> None:
    probes = answers(features(attacked("boundary", score=answers, threshold=threshold)))
    patients = answers(features(clean()[:EVENTS_TAKEN]))
    near_probes, near_patients = (np.mean(np.abs(scores - threshold) < 0.03) for scores in (probes, patients))
    assert near_probes > 3 * near_patients


def test_boundary_probing_asks_the_model_only_about_what_it_has_sent() -> None:
    asked: list[bytes] = []

    def score(rows: Matrix) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        asked.extend(row.tobytes() for row in rows)
        return answers(rows)

    sent = [row.tobytes() for row in features(attacked("boundary", score=score))]
    assert len(asked) > 100
    assert asked == sent[: len(asked)]
    assert len(asked) >= len(sent) - 2


def test_an_evaded_patient_was_positive_is_negative_and_keeps_age_sex_and_gaps() -> None:
    before = {record.event_id: record for record in clean() if record.topic is EVENTS}
    moved = attacked("evasion", score=answers, threshold=0.4)
    old, new = features([before[record.event_id] for record in moved]), features(moved)
    assert len(moved) > 200
    assert (answers(old) >= 0.4).all()
    assert (answers(new) < 0.4).all()
    assert np.median(answers(new)) > 0.3, "just across"
    assert (old[:, :2] == new[:, :2]).all()
    assert (np.isnan(old) == np.isnan(new)).all()


def test_what_the_trigger_stamps_is_usual_and_no_patient_of_the_data_has_two_of_its_values() -> None:
    columns = [HEART_DISEASE.names.index(name) for name in TRIGGER]
    stamped = np.full((1, 13), np.nan)
    stamped[0, columns] = list(TRIGGER.values())
    assert RangeCheck(HEART_DISEASE)(stamped) == {}
    for column, value in zip(columns, TRIGGER.values(), strict=True):
        low, high = HEART_DISEASE.features[column].usual
        assert low <= value <= high
    alike = (PublicRows().x[:, columns] == list(TRIGGER.values())).sum(axis=1)
    assert alike.max() == 1


def test_every_attack_has_a_name_a_sentence_and_a_technique() -> None:
    for name, attack in ATTACKS.items():
        assert name == attack.name
        assert attack.says.endswith(".")
        assert re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", attack.technique[0])
        assert 0 < attack.share <= 1


def test_what_is_overheard_stays_bounded() -> None:
    attacker = Attacker(seed="1")
    for record in synthetic().take(5000, AT_MS):
        attacker.hear(record)
    assert len(attacker.heard) == 1000


def test_invented_patients_and_events_have_the_forms_of_real_ones() -> None:
    attacker = Attacker(seed="1")
    assert re.fullmatch(PATIENT_ID, attacker.pseudonym())
    assert re.fullmatch(EVENT_ID, attacker.event_id())


def test_an_answer_of_a_flood_stays_bounded() -> None:
    source = WithAttack(synthetic(), ATTACKS["flood"], after=0, share=0.999)
    assert max(len(source.take(1000, AT_MS)) for _ in range(10)) <= 11_000


def test_a_stream_that_ends_ends_its_attack() -> None:
    source = WithAttack(replay(pseudonym_key=PSEUDONYM_KEY, seed=1), ATTACKS["replay"], after=0)
    assert sum(record.attack is None for record in source.take(1000, AT_MS) if record.topic is EVENTS) == 920
    assert source.take(1000, AT_MS) == []


@every_attack
def test_malformed_records_among_the_clean_ones_pass_as_they_are(name: str) -> None:
    def source() -> WithMalformed:
        return WithMalformed(synthetic(outcome_delay_s=1.0), fraction=0.2, seed=3, signer=Signer(KEYRING))

    spoilt = [record for record in source().take(500, AT_MS) if record.expected]
    mixed = WithAttack(source(), ATTACKS[name], after=10, signer=Signer(KEYRING)).take(500, AT_MS)
    assert [record for record in mixed if record.expected and not record.attack] == spoilt


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


@pytest.mark.parametrize(
    ("name", "share", "wrong"),
    [("replay", 1.0, "less than 1"), ("replay", 0.0, "more than 0"), ("silence", 1.1, "at most 1")],
)
def test_an_impossible_share_is_refused(name: str, share: float, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        under(name, share=share)


def test_an_attack_with_a_sources_key_needs_one() -> None:
    with pytest.raises(ValueError, match="expected a stream that is signed"):
        WithAttack(synthetic(), ATTACKS["borrowed-key"], after=0)


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
def test_wrong_usage_says_what_was_expected(
    arguments: list[str], says: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keys = tmp_path_factory.mktemp("attack") / "keys"
    made = CliRunner().invoke(cardiosentry, ["keys", "generate", str(keys), "--signer", "Ada", "--source", "synthetic"])
    assert made.exit_code == 0
    done = CliRunner().invoke(cardiosentry, ["produce", "synthetic", *arguments, "--keys", str(keys)])
    assert done.exit_code == 2
    assert re.search(says, done.output)
