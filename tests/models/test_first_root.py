"""What the keys of `keys generate` may do: those of a person everything, that of retraining release challengers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.keyfiles import generate_keys
from contracts.errors import ModelRejected, UserError
from contracts.releases import Release
from models.keyfile import KeyFile
from models.release_log import ReleaseLog
from models.roots import RETRAINING, ROOT_FILE, read_root, sign_next, with_signer, with_threshold
from models.sign import CHALLENGER_KEY_FILE, CHALLENGER_PUBLIC_FILE, PRIVATE_KEY_FILE
from tests.models.signers import NOW_MS, Someone, baseline, containment, release, revocation


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    list(generate_keys(directory, (), signer="Ada"))
    return directory


def person(keys: Path) -> Someone:
    return Someone(KeyFile.load(keys / PRIVATE_KEY_FILE), "Ada", "person", (), True)


def retraining(keys: Path) -> Someone:
    return Someone(KeyFile.load(keys / CHALLENGER_KEY_FILE), RETRAINING, "unattended", (), False)


def test_what_retrains_unattended_releases_challengers_until_a_person_freezes_it(keys: Path) -> None:
    log = ReleaseLog(read_root(keys))
    by = retraining(keys)
    entry = log.read(release(by, role="challenger"))
    assert entry
    assert isinstance(entry.statement, Release)
    assert entry.signed_by == ("retraining",)
    log.read(containment(person(keys)))
    with pytest.raises(ModelRejected, match="expected a person among its signers while retraining is frozen"):
        log.read(release(by, role="challenger", version=2))


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (lambda by, _: release(by), "expected 1 signers who may release a champion, got 0"),
        (lambda by, _: baseline(by), "expected 1 signers who may release a champion, got 0"),
        (lambda by, _: revocation(by), "expected a signer who may revoke"),
        (lambda by, _: containment(by, version=2, lifted=True), "expected a signer who may revoke"),
        (
            lambda by, _: containment(by, measure="block-source", subject="st-mary"),
            "expected a signer who may revoke",
        ),
        (
            lambda by, log: sign_next(with_threshold(log.trust.root, "champion", 1), by.key, now_ms=NOW_MS),
            "expected signatures of 1 root signers of version 1, got 0",
        ),
    ],
    ids=["a champion", "a baseline", "a revocation", "a thaw", "a block", "a trust root"],
)
def test_what_retrains_unattended_may_do_nothing_else(
    keys: Path, statement: Callable[[Someone, ReleaseLog], bytes], why: str
) -> None:
    log = ReleaseLog(read_root(keys))
    log.read(containment(person(keys)))
    with pytest.raises(ModelRejected, match=why):
        log.read(statement(retraining(keys), log))
    assert log.in_force("freeze-retraining")


def test_a_person_may_not_have_the_name_of_retraining(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a person's name, got retraining"):
        list(generate_keys(tmp_path, (), signer=RETRAINING))


def test_a_key_directory_of_before_gets_the_key_and_says_how_the_trust_root_takes_it_in(tmp_path: Path) -> None:
    list(generate_keys(tmp_path, (), signer="Ada"))
    root = read_root(tmp_path).root
    (tmp_path / CHALLENGER_KEY_FILE).unlink()
    (tmp_path / CHALLENGER_PUBLIC_FILE).unlink()
    said = dict(generate_keys(tmp_path, (), signer="Ada"))
    assert said[str(tmp_path / CHALLENGER_KEY_FILE)] is True
    (advice,) = (what for what in said if ROOT_FILE in what)
    public = tmp_path / CHALLENGER_PUBLIC_FILE
    assert f"`cardiosentry trust add retraining --public-key {public} --role challenger" in advice
    assert read_root(tmp_path).root == root
    with_signer(
        root, "second", public.read_text(), ("challenger",), unattended=True, may_revoke=False, signs_roots=False
    )
