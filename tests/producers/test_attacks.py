"""Every attack: the same by seed, labelled exactly, within its bounds, and at no cost to the clean stream."""

import re

import pytest

from contracts.identifiers import EVENT_ID, PATIENT_ID
from contracts.reasons import Reason
from contracts.topics import EVENTS
from producers.attacks.attacker import Attacker
from producers.attacks.catalogue import ATTACKS
from producers.attacks.source import WithAttack
from producers.malformed import WithMalformed
from producers.replay import replay
from producers.sign import Signer
from tests.producers.attacked import AFTER, attacked, clean, every_attack, of_topics, taken, under
from tests.producers.support import AT_MS, KEYRING, PSEUDONYM_KEY, synthetic
from tests.producers.test_malformed import judge, on_the_wire


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
