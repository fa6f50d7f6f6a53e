"""Who may sign an act is judged by all of model-releases, in whatever order the two topics are fetched."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.releasing import now_ms
from cli.shipping import new_judge
from contracts.incidents import IncidentAct
from contracts.releases import DAY_MS
from contracts.settings import Settings
from contracts.topics import INCIDENT_ACTS, RELEASES
from models.acts import sign_act
from models.release_log import ReleaseLog
from models.roots import read_root
from tests.models.signers import ADA, BOB, MALLORY, NOW_MS, ROBOT, Someone, root

BOB_LEAVES = root(ADA, ROBOT, version=2, created_at=NOW_MS)
BOB_IS_BACK = root(ADA, BOB, ROBOT, version=3, created_at=NOW_MS + 20_000)


class Releases:
    """What stands in model-releases, and how often it was read to its end."""

    def __init__(self) -> None:
        self.records: Sequence[bytes] = ()
        self.reads = 0

    def __call__(self, settings: Settings) -> ReleaseLog:
        self.reads += 1
        log = ReleaseLog(read_root(Path(settings.keys)))
        for record in self.records:
            log.read(record)
        return log


@pytest.fixture
def keys(tmp_path: Path) -> Settings:
    (tmp_path / "trust-root.json").write_bytes(root())
    return Settings(keys=str(tmp_path))


def signed(number: int = 0, by: Someone = BOB) -> bytes:
    act = IncidentAct(incident="0" * 12, act="note", note=str(number), created_at=NOW_MS)
    return sign_act(act, by.key)


def test_an_act_that_is_read_before_the_root_by_which_its_signer_left_is_refused(keys: Settings) -> None:
    releases = Releases()
    releases.records = [BOB_LEAVES]
    judge = new_judge(keys, releases)
    assert judge(INCIDENT_ACTS, signed(), NOW_MS + 10_000).statement is None
    assert judge(INCIDENT_ACTS, signed(), NOW_MS - 10_000).statement is not None


def test_a_signer_who_leaves_while_the_shipper_runs_signs_nothing_more(keys: Settings) -> None:
    releases, now = Releases(), now_ms()
    judge = new_judge(keys, releases)
    assert judge(INCIDENT_ACTS, signed(0), now).statement is not None
    releases.records = [root(ADA, ROBOT, version=2, created_at=now + 1, expires_at=now + DAY_MS)]
    assert judge(INCIDENT_ACTS, signed(1), now + 2).statement is None


def test_a_signer_who_came_with_a_root_that_is_not_fetched_yet_counts(keys: Settings) -> None:
    releases = Releases()
    releases.records = [BOB_LEAVES, BOB_IS_BACK]
    judge = new_judge(keys, releases)
    judge(RELEASES, BOB_LEAVES, NOW_MS)
    assert judge(INCIDENT_ACTS, signed(), NOW_MS + 30_000).statement is not None


def test_old_acts_and_those_of_nobody_have_the_log_read_once(keys: Settings) -> None:
    releases = Releases()
    judge = new_judge(keys, releases)
    hour_ago = now_ms() - 3_600_000
    for number in range(20):
        assert judge(INCIDENT_ACTS, signed(number), hour_ago).statement is not None
        assert judge(INCIDENT_ACTS, signed(number, MALLORY), hour_ago).statement is None
    assert releases.reads == 1
