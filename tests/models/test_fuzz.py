"""Whatever a bundle's directory or manifest holds: it verifies or it is `ModelRejected`, and nothing else happens."""

import contextlib
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import ModelRejected
from models.bundle import BUNDLE_FILES
from models.sign import signer
from models.verify import VerifiedBundle, verify_bundle
from tests.conftest import Trained

NAMES = st.text(max_size=30).filter(lambda name: "/" not in name and name not in BUNDLE_FILES)

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


def verified(trained: Trained, damage: Callable[[Path], object]) -> VerifiedBundle | None:
    """Verify a damaged copy; None when it was refused. Any other error is the test's failure."""
    with tempfile.TemporaryDirectory() as directory:
        bundle = Path(directory) / "bundle"
        shutil.copytree(trained.bundle, bundle)
        damage(bundle)
        with contextlib.suppress(ModelRejected):
            return verify_bundle(bundle, trained.public_key)
    return None


@FUZZ
@given(st.randoms(use_true_random=False), JSON)
def test_a_manifest_with_anything_anywhere(trained: Trained, choose: random.Random, value: Any) -> None:
    """Signed as it should be: what is wrong with it is for the later steps to see."""

    def damage(bundle: Path) -> None:
        manifest = json.loads((bundle / "manifest.json").read_text())
        place(manifest, choose, value)
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        signer(trained.private_key)(bundle)

    found = verified(trained, damage)
    assert found is None or 0 < found.manifest.threshold < 1


def place(tree: Any, choose: random.Random, value: Any) -> None:
    """Put `value` somewhere into the JSON `tree`, or take something out."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = choose.choice(keys)
        child = tree[key]
        if isinstance(child, dict | list) and child and choose.random() < 0.7:
            tree = child
        elif choose.random() < 0.2:
            del tree[key]
            return
        else:
            tree[key] = value
            return


@FUZZ
@given(
    st.sampled_from(BUNDLE_FILES),
    st.integers(0, 10_000),
    st.binary(max_size=20),
    st.sampled_from(["overwrite", "insert", "cut"]),
)
def test_a_directory_with_bytes_changed(trained: Trained, name: str, at: int, put: bytes, how: str) -> None:
    def damage(bundle: Path) -> None:
        content = (bundle / name).read_bytes()
        cut = at % (len(content) + 1)
        after = {"overwrite": content[cut + len(put) :], "insert": content[cut:], "cut": b""}[how]
        (bundle / name).write_bytes(content[:cut] + put + after)

    found = verified(trained, damage)
    assert found is None or found.digest == trained.digest


@FUZZ
@given(NAMES, st.binary(max_size=20), st.booleans())
def test_a_directory_with_a_file_more(trained: Trained, name: str, content: bytes, signed: bool) -> None:
    def damage(bundle: Path) -> None:
        with contextlib.suppress(OSError, ValueError):  # no name of a file
            (bundle / name).write_bytes(content)
        if signed:
            signer(trained.private_key)(bundle)

    found = verified(trained, damage)
    assert found is None or signed or found.digest == trained.digest
