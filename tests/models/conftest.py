"""One trained and signed bundle a test session; tests change copies of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.sign import generate_signing_key
from models.train import train_bundle
from models.verify import VerifiedBundle, verify_bundle


@dataclass(frozen=True)
class Trained:
    """A bundle, its key pair and the digest that training reported."""

    bundle: Path
    private_key: Path
    public_key: Path
    digest: str
    progress: tuple[str, ...]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    directory = tmp_path_factory.mktemp("trained")
    private_key, public_key = generate_signing_key(directory / "keys")
    steps: list[str] = []
    digest = train_bundle(directory / "bundle", private_key, progress=steps.append)
    return Trained(directory / "bundle", private_key, public_key, digest, tuple(steps))


@pytest.fixture(scope="session")
def verified(trained: Trained) -> VerifiedBundle:
    return verify_bundle(trained.bundle, trained.public_key)


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the bundle to damage."""
    return Path(shutil.copytree(trained.bundle, tmp_path / "bundle"))
