"""An environment for each peer, made from its hash-pinned lock: their dependencies exclude ours and each other's."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
CACHE = ROOT / ".cache" / "bench"


def python_of(peer: str) -> Path:
    """Return the interpreter of the peer's environment; make that first when its lock is new."""
    lock = PEERS / f"{peer}.lock"
    directory = CACHE / peer
    made_from, digest = directory / "lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    python = directory / "bin" / "python"
    if made_from.exists() and made_from.read_text() == digest:
        return python
    print(f"making the environment of {peer} …", file=sys.stderr, flush=True)
    venv.create(directory, clear=True)
    # uv made the lock: pip takes no pin of a package for one of the package with extras.
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", lock], check=True)
    made_from.write_text(digest)
    return python


def pinned_version(peer: str, package: str) -> str:
    """Return the version of `package` in the peer's lock."""
    for line in (PEERS / f"{peer}.lock").read_text().splitlines():
        if line.startswith(f"{package}=="):
            return line.removeprefix(f"{package}==").split()[0]
    raise KeyError(f"{peer}.lock: expected {package}")
