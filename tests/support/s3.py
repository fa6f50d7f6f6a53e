"""A real S3 server for tests: versitygw, built from its module, with an administrator, a releaser and a worker.

>>> with S3Server() as s3:  # doctest: +SKIP
...     s3.make_bucket("models", lock=True)

It is built once into `.cache/` (about two minutes); after that a start takes a second.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.objectlockconfig import DAYS, ObjectLockConfig
from urllib3 import PoolManager, Retry

from tests.support.ports import free_ports
from tests.support.server import Server

VERSION = "v1.8.0"
MODULE = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
BINARY = Path(__file__).parents[2] / ".cache" / f"versitygw-{VERSION}" / "versitygw"

ADMINISTRATOR, RELEASER, WORKER = "administrator", "releaser", "worker"

_GUIDE = Path(__file__).parents[2] / "docs" / "operating.md"


class S3Unavailable(Exception):  # as KafkaUnavailable
    """This machine cannot build the server; the text says what is missing."""


class S3Server(Server):
    """One server with data, users and a port of its own; leaving the context stops it and deletes its data.

    With `versions` a second object of a name is a new version, as at AWS; without, a lock refuses it.
    """

    def __init__(self, *, versions: bool = False) -> None:
        super().__init__("s3")
        (self.port,) = free_ports(1)
        self._versions = versions

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and make its users."""
        super().start()
        for user in (RELEASER, WORKER):
            self._make_user(user)

    def environment(self, user: str, *, port: int | None = None) -> dict[str, str]:
        """Return what a process of `user` has in its environment; by `port` where something stands in between."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": _secret(user),
        }

    def client(self, user: str) -> Minio:
        """Return a plain S3 client of `user`, to do what our own code does not."""
        return Minio(
            f"127.0.0.1:{self.port}",
            access_key=user,
            secret_key=_secret(user),
            secure=False,
            region="us-east-1",
            http_client=PoolManager(timeout=10, retries=Retry(0)),
        )

    def make_bucket(self, name: str, *, lock: bool) -> None:
        """Make a bucket that the releaser may write and the worker read; with `lock`, for a day nothing changes."""
        administrator = self.client(ADMINISTRATOR)
        administrator.make_bucket(name, object_lock=lock)
        if lock:
            administrator.set_object_lock_config(name, ObjectLockConfig(COMPLIANCE, 1, DAYS))
        administrator.set_bucket_policy(name, _policy(name))

    def _program(self) -> list[str]:
        build()
        for name in ("data", "users", "versions"):
            (self._dir / name).mkdir()
        options = ["--versioning-dir", str(self._dir / "versions")] if self._versions else []
        return [
            *(str(BINARY), "--port", f"127.0.0.1:{self.port}", "--quiet"),
            *("--iam-dir", str(self._dir / "users"), "posix", *options, str(self._dir / "data")),
        ]

    def _environment(self) -> dict[str, str]:
        root = {"ROOT_ACCESS_KEY_ID": ADMINISTRATOR, "ROOT_SECRET_ACCESS_KEY": _secret(ADMINISTRATOR)}
        return {**os.environ, **root}

    def _answers(self) -> bool:
        with contextlib.suppress(Exception):  # whatever a server that is not up yet answers
            self.client(ADMINISTRATOR).list_buckets()
            return True
        return False

    def _make_user(self, user: str) -> None:
        arguments = ["--endpoint-url", self.endpoint, "create-user", "-a", user, "-s", _secret(user), "-r", "user"]
        environment = {"ADMIN_ACCESS_KEY_ID": ADMINISTRATOR, "ADMIN_SECRET_ACCESS_KEY": _secret(ADMINISTRATOR)}
        subprocess.run(
            [BINARY, "admin", *arguments], check=True, capture_output=True, env={**os.environ, **environment}
        )


def build() -> None:
    """Make sure that the server is in the cache; raise `S3Unavailable` if it cannot be."""
    if BINARY.exists():
        return
    if shutil.which("go") is None:
        raise S3Unavailable("needs Go: go not found on PATH")
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    # Two test runs may start at once: each builds beside the other, the last to finish replaces an equal file.
    built = Path(tempfile.mkdtemp(prefix="build-", dir=BINARY.parent))
    try:
        done = subprocess.run(
            ["go", "install", MODULE],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            env={**os.environ, "GOBIN": str(built)},
        )
        if done.returncode:
            raise S3Unavailable(f"go install {MODULE} failed with exit code {done.returncode}: {done.stderr}".strip())
        (built / BINARY.name).replace(BINARY)
    finally:
        shutil.rmtree(built, ignore_errors=True)


def _policy(bucket: str) -> str:
    """Return the policy that docs/operating.md tells to set, for this bucket."""
    (policy,) = re.findall(r"```json\n(.*?)```", _GUIDE.read_text("utf-8"), re.DOTALL)
    return json.dumps(json.loads(policy.replace("arn:aws:s3:::models/", f"arn:aws:s3:::{bucket}/")))


def _secret(user: str) -> str:
    return f"secret-of-{user}"
