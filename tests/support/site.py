"""What a system under test needs beside a broker: its keys and a signed model, as the commands make them."""

from dataclasses import dataclass
from pathlib import Path

from cli.keyfiles import generate_keys
from cli.releasing import release_bundle
from contracts.identifiers import PSEUDONYM_KEY_FILE
from contracts.mac import KEYRING_FILE, Keyring
from contracts.releases import Role
from contracts.settings import Settings
from models.sign import PRIVATE_KEY_FILE
from models.train import train_bundle


@dataclass(frozen=True)
class Site:
    """Directories: a bundle, the keys of the sources `uci` and `synthetic`, a store. Tests change copies of them."""

    bundle: Path
    keys: Path
    store: Path

    @property
    def keyring(self) -> Keyring:
        file = self.keys / KEYRING_FILE
        return Keyring.from_toml(file.read_text(), origin=str(file))

    @property
    def pseudonym_key(self) -> bytes:
        return bytes.fromhex((self.keys / PSEUDONYM_KEY_FILE).read_text())


def release(site: Site, bootstrap: str, prefix: str, role: Role = "champion") -> None:
    """Release the site's bundle, as the champion unless said otherwise, of the system under `prefix`."""
    settings = Settings(bootstrap=bootstrap, topic_prefix=prefix, keys=str(site.keys), store=str(site.store))
    release_bundle(settings, site.bundle, role=role, reason="a test", days=30)


def make_site(directory: Path) -> Site:
    """Generate keys and train a model in `directory`; takes about 5 s."""
    site = Site(directory / "bundle", directory / "keys", directory / "store")
    list(generate_keys(site.keys, ("uci", "synthetic")))
    train_bundle(site.bundle, site.keys / PRIVATE_KEY_FILE)
    return site
