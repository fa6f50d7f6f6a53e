"""The lifecycle: every transition stands on a signed statement, and one outside the table is marked."""

import pytest

from models.lifecycle import NEXT, Stage, stages, trail
from models.release_log import ReleaseLog
from models.trust import first_root
from tests.models.signers import ADA, ROBOT, release, revocation, root, signed_step


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def read(*records: bytes) -> ReleaseLog:
    log = ReleaseLog(first_root(root()))
    for record in records:
        log.read(record)
    return log


def moves(*records: bytes, shadows: int = 1) -> list[tuple[int, Stage | None, Stage]]:
    """Return the transitions that the records come to: bundle, from, to."""
    found = trail(read(*records).entries, shadows=shadows)
    return [(int(each.digest[7:], 16), each.before, each.after) for each in found]


def released(number: int, version: int, role: str = "champion") -> bytes:
    return release(digest=digest(number), version=version, role=role)


def test_a_bundle_goes_through_its_whole_life_by_the_table() -> None:
    records = [
        *(signed_step(ROBOT, digest=digest(1), stage=stage) for stage in ("candidate", "gated", "stored")),
        released(1, 1, "shadow"),
        released(1, 1, "challenger"),
        released(1, 1),
        *(signed_step(ROBOT, digest=digest(2), stage=stage) for stage in ("candidate", "gated", "stored")),
        released(2, 2),
        revocation(digest=digest(1)),
    ]
    life = [move for move in moves(*records) if move[0] == 1]
    expected = ["candidate", "gated", "stored", "shadow", "challenger", "champion", "challenger", "revoked"]
    assert [after for _, _, after in life] == expected
    assert [before for _, before, _ in life] == [None, *expected[:-1]]
    assert all(each.by_the_table for each in trail(read(*records).entries, shadows=1))


CASES: dict[str, tuple[list[bytes], list[tuple[int, Stage | None, Stage]]]] = {
    "a champion retires when the next one comes": (
        [released(1, 1), released(2, 2)],
        [(1, None, "champion"), (1, "champion", "retired"), (2, None, "champion")],
    ),
    "a rollback brings a retired one back": (
        [released(1, 1), released(2, 2), released(1, 3)],
        [
            (1, None, "champion"),
            (1, "champion", "retired"),
            (2, None, "champion"),
            (1, "retired", "champion"),
            (2, "champion", "retired"),
        ],
    ),
    "a revocation brings the one before back": (
        [released(1, 1), released(2, 2), revocation(digest=digest(2))],
        [
            (1, None, "champion"),
            (1, "champion", "retired"),
            (2, None, "champion"),
            (1, "retired", "champion"),
            (2, "champion", "revoked"),
        ],
    ),
    "nothing leads out of revoked": (
        [released(1, 1), revocation(digest=digest(1)), released(1, 2), signed_step(ADA, digest=digest(1))],
        [(1, None, "champion"), (1, "champion", "revoked")],
    ),
    "what a release repeats as revoked is revoked by it": (
        [released(1, 1), release(digest=digest(2), version=2, revoked=(digest(1),))],
        [(1, None, "champion"), (1, "champion", "revoked"), (2, None, "champion")],
    ),
    "a step of a bundle in use moves nothing": (
        [released(1, 1), signed_step(ADA, digest=digest(1))],
        [(1, None, "champion")],
    ),
}


@pytest.mark.parametrize(("records", "expected"), CASES.values(), ids=CASES)
def test_statements_move_bundles(records: list[bytes], expected: list[tuple[int, Stage | None, Stage]]) -> None:
    assert sorted(moves(*records), key=str) == sorted(expected, key=str)


def test_as_many_shadows_are_in_use_as_score() -> None:
    records = [released(number, number, "shadow") for number in (1, 2, 3)]
    for shadows, expected in ((0, []), (1, [3]), (2, [2, 3])):
        found = stages(read(*records).entries, shadows=shadows)
        assert [int(name[7:], 16) for name, stage in found.items() if stage == "shadow"] == expected


def test_a_transition_that_skips_a_stage_is_marked() -> None:
    (brought_by_hand,) = trail(read(released(1, 1)).entries, shadows=1)
    assert not brought_by_hand.by_the_table
    stored, live = trail(read(signed_step(ADA, digest=digest(1)), released(1, 1)).entries, shadows=1)
    assert (stored.by_the_table, live.by_the_table) == (False, True)


def test_every_stage_can_be_revoked_and_none_leads_to_one_that_is_not_in_the_table() -> None:
    assert all("revoked" in after for stage, after in NEXT.items() if stage != "revoked")
    assert {stage for after in NEXT.values() for stage in after} <= NEXT.keys()
    assert NEXT["revoked"] == ()
