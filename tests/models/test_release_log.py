"""The release log: records in their order come to the same models everywhere, and junk comes to nothing."""

import contextlib
from itertools import permutations

import pytest

from contracts.errors import ModelRejected
from contracts.releases import DAY_MS, Contained, Role
from models.release_log import ReleaseLog
from models.trust import first_root
from tests.models.signers import (
    ADA,
    BOB,
    MALLORY,
    NOW_MS,
    ROBOT,
    baseline,
    containment,
    release,
    revocation,
    root,
    someone,
)
from tests.support.reference import made_up_reference

GUARD = someone("guard", kind="unattended", may_revoke=True)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def champion(version: int, number: int | None = None, *by: object, **changes: object) -> bytes:
    return release(*by, version=version, digest=digest(number or version), **changes)  # type: ignore[arg-type]


def log_of(*records: bytes) -> ReleaseLog:
    """Read the records; those that are refused change nothing."""
    log = ReleaseLog(first_root(root()))
    for record in records:
        with contextlib.suppress(ModelRejected):
            log.read(record)
    return log


def live(log: ReleaseLog, role: Role = "champion", now_ms: int = NOW_MS) -> int | None:
    """Return the number of the bundle that a worker would load, None for none."""
    found = log.candidates(role, now_ms=now_ms)
    return int(found[0].digest[7:], 16) if found else None


def test_the_highest_version_is_live() -> None:
    log = log_of(champion(1), champion(2), champion(7))
    assert live(log) == 7
    assert log.next_version("champion") == 8
    assert live(log, "shadow") is None
    assert log.next_version("shadow") == 1


def test_each_role_has_versions_and_a_model_of_its_own() -> None:
    log = log_of(champion(5), champion(1, 9, ROBOT, role="shadow"))
    assert (live(log), live(log, "shadow")) == (5, 9)


def test_going_back_is_a_new_version_of_an_old_bundle() -> None:
    assert live(log_of(champion(1), champion(2), champion(3, 1))) == 1


SUCCESSIONS = {
    "every release is a step": ([1, 2, 3], [1, 2, 3]),
    "going back leaves out what came after": ([1, 2, 3, 2], [1, 2]),
    "going back twice": ([1, 2, 3, 2, 1], [1]),
    "what was left out and is released anew is a step": ([1, 2, 1, 2], [1, 2]),
    "the same bundle again is the same step": ([1, 2, 2], [1, 2]),
    "what follows after going back": ([1, 2, 3, 2, 4], [1, 2, 4]),
}


@pytest.mark.parametrize(("released", "led_to"), SUCCESSIONS.values(), ids=SUCCESSIONS)
def test_a_succession_is_what_led_to_the_last_one(released: list[int], led_to: list[int]) -> None:
    log = log_of(*(champion(version, number) for version, number in enumerate(released, 1)))
    assert [int(each.digest[7:], 16) for each in log.succession("champion")] == led_to


def test_a_champion_that_somebody_went_back_behind_does_not_come_back_by_itself() -> None:
    log = log_of(champion(1), champion(2), champion(3), champion(4, 2), revocation(digest=digest(2)))
    assert live(log) == 1
    assert live(log_of(champion(1), champion(2), champion(3, 1), revocation(digest=digest(1)))) is None


def test_models_on_trial_do_not_succeed_each_other() -> None:
    shadows = [champion(version, number, ROBOT, role="shadow") for version, number in enumerate((1, 2, 1), 1)]
    found = log_of(*shadows).candidates("shadow", now_ms=NOW_MS)
    assert [int(each.digest[7:], 16) for each in found] == [1, 2, 1]


def test_an_older_version_again_changes_nothing() -> None:
    old = champion(1)
    log = log_of(old, champion(2))
    assert log.read(old) is None  # the record itself, read again
    with pytest.raises(ModelRejected, match="expected a version above 2"):
        log.read(champion(1, 3))
    assert live(log) == 2


def test_the_first_of_two_with_one_version_counts() -> None:
    assert live(log_of(champion(1, 4), champion(1, 5))) == 4


def test_a_revoked_champion_gives_way_to_the_last_good_one() -> None:
    log = log_of(champion(1), champion(2), champion(3), revocation(digest=digest(3)))
    assert live(log) == 2
    log.read(revocation(digest=digest(2)))
    assert live(log) == 1
    log.read(revocation(digest=digest(1)))
    assert live(log) is None


def test_a_revocation_counts_in_every_role_and_for_later_releases_of_the_bundle() -> None:
    log = log_of(champion(1), champion(1, 1, role="shadow"), revocation(digest=digest(1)), champion(2, 1))
    assert (live(log), live(log, "shadow")) == (None, None)


def test_a_release_repeats_the_revocations_before_it_so_that_a_deleted_one_does_not_come_undone() -> None:
    log = log_of(champion(1), champion(2), champion(3, revoked=(digest(1),)), revocation(digest=digest(3)))
    assert live(log) == 2
    log.read(revocation(digest=digest(2)))
    assert live(log) is None


def test_what_has_ended_is_not_loaded_anew() -> None:
    log = log_of(champion(1, expires_at=NOW_MS + 2 * DAY_MS), champion(2, expires_at=NOW_MS + DAY_MS))
    assert [live(log, now_ms=NOW_MS + days * DAY_MS) for days in (0, 1, 2)] == [2, 1, None]


def test_a_trust_root_counts_for_what_stands_after_it() -> None:
    carol = someone("Carol", "champion")
    second = root(ADA, carol, version=2)
    log = log_of(champion(1, 1, BOB), champion(2, 2, carol), second, champion(3, 3, BOB), champion(4, 4, carol))
    assert live(log) == 4
    assert [entry.signed_by for entry in log.entries] == [("Bob",), ("Ada",), ("Carol",)]


def compared_with(log: ReleaseLog, number: int = 1) -> int | None:
    """Return the population of a bundle's baseline, None for the bundle's own reference."""
    found = log.baseline(digest(number))
    return found.statistics.population if found and found.statistics else None


def learned(version: int, population: int, number: int = 1, *by: object) -> bytes:
    statistics = made_up_reference(population=population)
    return baseline(*by, version=version, digest=digest(number), statistics=statistics)  # type: ignore[arg-type]


def withdrawn(version: int) -> bytes:
    return baseline(version=version, digest=digest(1), statistics=None)


def test_the_newest_baseline_of_a_bundle_counts_and_no_other_bundles() -> None:
    log = log_of(champion(1), learned(1, 1000), champion(2), learned(1, 3000, 2), learned(5, 2000))
    assert (compared_with(log), compared_with(log, 2), compared_with(log, 3)) == (2000, 3000, None)
    assert [log.next_baseline_version(digest(number)) for number in (1, 2, 3)] == [6, 2, 1]


def test_a_withdrawn_baseline_does_not_come_back_by_an_older_record() -> None:
    first = learned(1, 1000)
    log = log_of(first, withdrawn(2))
    assert compared_with(log) is None
    assert log.read(first) is None
    for again in (learned(1, 1000, 1, BOB), learned(2, 1000)):
        with pytest.raises(ModelRejected, match="expected a version above 2"):
            log.read(again)
    assert compared_with(log) is None
    log.read(learned(3, 4000))
    assert compared_with(log) == 4000


def test_a_baseline_moves_no_model() -> None:
    log = log_of(champion(1), champion(2), learned(1, 1000), withdrawn(2))
    assert live(log) == 2
    assert log.next_version("champion") == 3


JUNK = [
    b"",
    b"{}",
    b"\x80\x04pickle",
    champion(9, 9, MALLORY),
    champion(9, 9, ROBOT),
    learned(9, 1000, 1, MALLORY),
    learned(9, 1000, 1, ROBOT),
    revocation(MALLORY, digest=digest(1)),
    root(MALLORY, by=[MALLORY], version=2, root_signers=(MALLORY.id,)),
    root(version=3),
]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_junk_anywhere_changes_nothing(at: int) -> None:
    good = [champion(1), champion(2)]
    log = log_of(*good[:at], *JUNK, *good[at:])
    assert live(log) == 2
    assert len(log.entries) == 2
    assert log.revoked == set()
    assert compared_with(log) is None


def test_a_deleted_record_changes_nothing_but_its_own() -> None:
    records = [champion(1), champion(2), champion(3)]
    assert live(log_of(*records[1:])) == live(log_of(records[0], records[2])) == 3


def test_every_worker_comes_to_the_same_model_however_often_it_reads_again() -> None:
    records = [champion(1), revocation(digest=digest(2)), champion(2), champion(3, 1)]
    for order in permutations(range(4), 2):
        again = [*records, *(records[at] for at in order)]
        assert live(log_of(*again)) == live(log_of(*records)) == 1


def test_while_retraining_is_frozen_nothing_counts_that_unattended_keys_alone_release() -> None:
    log = log_of(champion(1), containment())
    with pytest.raises(ModelRejected, match="expected a person among its signers while retraining is frozen"):
        log.read(champion(1, 2, ROBOT, role="challenger"))
    log.read(champion(1, 3, ADA, role="challenger"))
    assert live(log, "challenger") == 3
    log.read(containment(version=2, lifted=True))
    log.read(champion(2, 4, ROBOT, role="challenger"))
    assert live(log, "challenger") == 4


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (containment(MALLORY), "expected a signature by a signer of the trust root"),
        (containment(BOB), "expected a signer who may revoke"),
        (containment(version=1, reason="again"), "expected version 2"),
        (containment(version=3), "expected version 2"),
        (containment(GUARD, version=2, lifted=True), "expected a person to lift it"),
    ],
)
def test_a_measure_that_is_not_in_order_changes_nothing(record: bytes, why: str) -> None:
    log = ReleaseLog(first_root(root(ADA, BOB, ROBOT, GUARD)))
    log.read(containment(GUARD))
    before = log.in_force("freeze-retraining")
    assert before is not None
    assert before.signed_by == ("guard",)
    with pytest.raises(ModelRejected, match=why):
        log.read(record)
    assert log.in_force("freeze-retraining") == before


def test_an_old_freeze_does_not_come_back_when_it_is_written_again() -> None:
    frozen, again = containment(), containment()  # two signatures under one statement
    log = log_of(frozen, containment(version=2, lifted=True))
    assert log.read(frozen) is None
    with pytest.raises(ModelRejected, match="expected version 3"):
        log.read(again)
    assert log.in_force("freeze-retraining") is None


def test_measures_count_by_their_subject() -> None:
    log = log_of(
        containment(measure="block-source", subject="st-mary/icu"),
        containment(measure="block-source", subject="st-mary/ward-7"),
        containment(measure="revoke-key", subject="st-mary-3fa9"),
    )
    assert log.contained == Contained(frozenset({"st-mary/icu", "st-mary/ward-7"}), frozenset({"st-mary-3fa9"}))
    log.read(containment(measure="block-source", subject="st-mary/icu", version=2, lifted=True))
    assert log.contained == Contained(frozenset({"st-mary/ward-7"}), frozenset({"st-mary-3fa9"}))
    assert len(log.measures()) == 2
    assert log.in_force("freeze-retraining") is None
