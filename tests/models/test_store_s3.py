"""The S3 store against a real server: who may do what, what a lock holds, and answers that go wrong."""

import hashlib
import io
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from contracts.errors import ModelRejected, RetryableError, UserError
from models.store_s3 import S3Store
from tests.support.faulty import Client, Fault, FaultyProxy, cut, endless
from tests.support.s3 import ADMINISTRATOR, RELEASER, WORKER, S3Server

CONTENT = b"a model that is a little longer than one word"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"released/{SHA256[:2]}/{SHA256}"
ROOT = Path(__file__).parents[2]
LOCKED, VERSIONED = "locked", "versioned"

ANSWER_S = 1.0


@pytest.fixture(scope="module")
def locked(s3: S3Server) -> S3Server:
    """A server whose bucket `locked` holds CONTENT for a day."""
    s3.make_bucket(LOCKED, lock=True)
    put(s3.client(RELEASER), LOCKED, NAME, CONTENT)
    return s3


@pytest.fixture(scope="module")
def versioned(s3: S3Server) -> Iterator[S3Server]:
    """A server that keeps versions; its bucket `versioned` holds CONTENT for a day."""
    with S3Server(versions=True) as server:
        server.make_bucket(VERSIONED, lock=True)
        put(server.client(RELEASER), VERSIONED, NAME, CONTENT)
        yield server


@pytest.fixture
def open_as(monkeypatch: pytest.MonkeyPatch) -> Callable[..., S3Store]:
    def opened(server: S3Server, user: str, bucket: str, *, port: int | None = None, **changed: str) -> S3Store:
        for name, value in {**server.environment(user, port=port), **changed}.items():
            monkeypatch.setenv(name, value)
        return S3Store(f"s3://{bucket}/released", answer_s=ANSWER_S)

    return opened


def put(client: Minio, bucket: str, name: str, content: bytes) -> str | None:
    return client.put_object(bucket, name, io.BytesIO(content), len(content)).version_id


def held(client: Minio, bucket: str, version: str | None = None) -> bytes:
    answer = client.get_object(bucket, NAME, version_id=version)
    try:
        return bytes(answer.read())
    finally:
        answer.close()
        answer.release_conn()


def test_a_worker_reads_and_can_neither_write_nor_delete(locked: S3Server, open_as: Callable[..., S3Store]) -> None:
    store, client = open_as(locked, WORKER, LOCKED), locked.client(WORKER)
    assert store.get(SHA256, len(CONTENT)) == CONTENT
    with pytest.raises(UserError, match=r"expected to write .*, got HTTP status 403; check AWS_ACCESS_KEY_ID"):
        store.put(b"a worker's own")
    for deed in (
        lambda: put(client, LOCKED, NAME, b"replaced"),
        lambda: put(client, LOCKED, "released/new", b"a worker's own"),
        lambda: client.remove_object(LOCKED, NAME),
        lambda: client.delete_bucket_policy(LOCKED),
        lambda: client.delete_object_lock_config(LOCKED),
    ):
        with pytest.raises(S3Error, match="AccessDenied"):
            deed()
    assert held(client, LOCKED) == CONTENT


# What the policy grants nobody but the administrator would be stopped by it and not by the lock: both are tried.
@pytest.mark.parametrize("user", [RELEASER, ADMINISTRATOR])
def test_a_locked_file_cannot_be_replaced_or_deleted(
    locked: S3Server, user: str, open_as: Callable[..., S3Store]
) -> None:
    client = locked.client(user)
    with pytest.raises(S3Error, match=r"AccessDenied.*object lock"):
        put(client, LOCKED, NAME, b"replaced")
    with pytest.raises(S3Error, match=r"AccessDenied.*object lock" if user == ADMINISTRATOR else "AccessDenied"):
        client.remove_object(LOCKED, NAME)
    assert [error.code for error in client.remove_objects(LOCKED, [DeleteObject(NAME)])] == ["AccessDenied"]
    assert open_as(locked, RELEASER, LOCKED).put(CONTENT) == SHA256  # that it is there already is no fault
    assert open_as(locked, WORKER, LOCKED).get(SHA256, len(CONTENT)) == CONTENT


def test_where_versions_are_kept_a_replaced_file_is_refused_and_the_locked_one_stays(
    versioned: S3Server, open_as: Callable[..., S3Store]
) -> None:
    administrator = versioned.client(ADMINISTRATOR)
    (first,) = [each.version_id for each in administrator.list_objects(VERSIONED, NAME, include_version=True)]
    worker = open_as(versioned, WORKER, VERSIONED)
    assert worker.get(SHA256, len(CONTENT)) == CONTENT
    put(versioned.client(RELEASER), VERSIONED, NAME, b"a model that is a little longer than two word")
    with pytest.raises(ModelRejected, match=f"expected the {len(CONTENT)} bytes of {SHA256}, got others"):
        worker.get(SHA256, len(CONTENT))
    with pytest.raises(ModelRejected):  # whoever releases it again is told
        open_as(versioned, RELEASER, VERSIONED).put(CONTENT)
    with pytest.raises(S3Error, match=r"AccessDenied.*object lock"):
        administrator.remove_object(VERSIONED, NAME, version_id=first)
    assert held(administrator, VERSIONED, first) == CONTENT
    administrator.copy_object(VERSIONED, NAME, CopySource(VERSIONED, NAME, version_id=first))
    assert worker.get(SHA256, len(CONTENT)) == CONTENT


def test_a_second_put_makes_no_second_version(versioned: S3Server, open_as: Callable[..., S3Store]) -> None:
    store, content = open_as(versioned, RELEASER, VERSIONED), b"put twice"
    sha256 = store.put(content)
    store.put(content)
    name = f"released/{sha256[:2]}/{sha256}"
    assert len(list(versioned.client(ADMINISTRATOR).list_objects(VERSIONED, name, include_version=True))) == 1


def _truncated(client: Client, head: bytes, body: bytes) -> None:
    half = body[: len(body) // 2]
    client.send(head.replace(b"%d\r\n" % len(body), b"%d\r\n" % len(half)) + half)


def _flipped(client: Client, head: bytes, body: bytes) -> None:
    client.send(head + body[:-1] + bytes([body[-1] ^ 1]))


def _repeated(line: bytes) -> Fault:
    def answer(client: Client, head: bytes, body: bytes) -> None:
        client.send(b"HTTP/1.1 200 OK\r\n" if line.startswith(b"X") else b"")
        while True:
            client.send(line)

    return answer


def _trickle(client: Client, head: bytes, body: bytes) -> None:
    client.send(head)
    for byte in body:
        client.send(bytes([byte]))
        client.wait(ANSWER_S / 5)


def _trickled_head(client: Client, head: bytes, body: bytes) -> None:
    for byte in head + body:
        client.send(bytes([byte]))
        client.wait(ANSWER_S / 5)


def _silence(client: Client, head: bytes, body: bytes) -> None:
    client.wait(30)


def _says(content: bytes) -> Fault:
    def answer(client: Client, head: bytes, body: bytes) -> None:
        client.send(content)

    return answer


FAULTS: dict[str, tuple[Fault, type[Exception], str]] = {
    "cut in the middle": (cut, RetryableError, "ClientPayloadError"),
    "truncated, with a length that fits": (_truncated, ModelRejected, "got others"),
    "a flipped bit": (_flipped, ModelRejected, "got others"),
    "an endless file": (endless(b"200 OK"), ModelRejected, "got others"),
    "an endless error": (endless(b"403 Forbidden"), RetryableError, "HTTP status 403"),
    "an endless error of the server": (endless(b"500 Oh"), RetryableError, "HTTP status 500"),
    "an endless head": (_repeated(b"X: y\r\n"), RetryableError, "got: "),
    "an endless line": (_repeated(b"Xy" * 512), RetryableError, "got: "),
    "interim answers for ever": (_repeated(b"HTTP/1.1 100 Continue\r\n\r\n"), RetryableError, "no whole answer"),
    "a trickle": (_trickle, RetryableError, "no whole answer within 1 s"),
    "a trickled head": (_trickled_head, RetryableError, "no whole answer within 1 s"),
    "silence": (_silence, RetryableError, "no whole answer"),
    "nothing": (_says(b""), RetryableError, "ServerDisconnectedError"),
    "another protocol": (_says(b"SSH-2.0-OpenSSH_9.2\r\n"), RetryableError, "got: "),
    "broken chunks": (
        _says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n"),
        RetryableError,
        "got: ",
    ),
    "two lengths": (
        _says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        RetryableError,
        "got: ",
    ),
    "a compressed file": (
        _says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
        ModelRejected,
        "got others",
    ),
    "the way elsewhere": (
        _says(b"HTTP/1.1 307 Over there\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        RetryableError,
        "HTTP status 307; check AWS_ENDPOINT_URL and AWS_REGION",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_answer_that_goes_wrong_costs_little_time_and_memory_and_the_next_one_counts(
    locked: S3Server, open_as: Callable[..., S3Store], name: str
) -> None:
    fault, error, says = FAULTS[name]
    with FaultyProxy(locked.port) as between:
        store = open_as(locked, WORKER, LOCKED, port=between.port)
        between.fault = fault
        began = time.monotonic()
        with pytest.raises(error, match=says):
            store.get(SHA256, len(CONTENT))
        assert time.monotonic() - began < 4 * ANSWER_S
        # The kernel's buffers of both ends take some megabytes; an answer that were read on would take hundreds.
        assert sum(client.sent_bytes for client in between.clients) < 64 * 1024 * 1024
        between.fault = None
        assert store.get(SHA256, len(CONTENT)) == CONTENT


def test_what_was_written_although_the_answer_was_lost_is_written(
    locked: S3Server, open_as: Callable[..., S3Store]
) -> None:
    content = b"written once"
    with FaultyProxy(locked.port) as between:

        def lose_one(client: Client, head: bytes, body: bytes) -> None:
            between.fault = None

        store = open_as(locked, RELEASER, LOCKED, port=between.port)
        between.fault = lose_one
        sha256 = store.put(content)
    assert open_as(locked, WORKER, LOCKED).get(sha256, len(content)) == content


UNUSABLE: dict[str, tuple[dict[str, str], str]] = {
    "nobody listens": (
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        "got.* Connect call failed|no answer; check AWS_END",
    ),
    "a wrong secret": ({"AWS_SECRET_ACCESS_KEY": "hunter2"}, "HTTP status 403; check AWS_ACCESS_KEY_ID"),
    "an unknown user": ({"AWS_ACCESS_KEY_ID": "hunter2"}, "HTTP status 403; check AWS_ACCESS_KEY_ID"),
    "a token of nobody": ({"AWS_SESSION_TOKEN": "hunter2"}, "HTTP status 4"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_store_that_cannot_be_used_says_what_to_do_and_no_secret(
    locked: S3Server, open_as: Callable[..., S3Store], name: str
) -> None:
    changed, says = UNUSABLE[name]
    store = open_as(locked, RELEASER, LOCKED, **changed)
    with pytest.raises(RetryableError, match=says) as reading:
        store.get(SHA256, len(CONTENT))
    with pytest.raises(UserError, match=says) as writing:
        store.put(b"something new")
    for said in (str(reading.value), str(writing.value)):
        assert f"store s3://{LOCKED}/released" in said
        assert [secret for secret in ("hunter2", "secret-of", "X-Amz", RELEASER) if secret in said] == []


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"])
@pytest.mark.parametrize(
    "endpoint",
    [
        "nonsense",
        "ftp://host",
        "http://user:hunter2@host",
        "http://",
        "",
        "http://host:99999",
        "http://[::1",
        "http://:",
    ],
)
def test_an_endpoint_that_is_none_is_refused_before_anything_is_asked(
    name: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, endpoint)
    with pytest.raises(UserError, match=rf"^{name}: expected http") as caught:
        S3Store("s3://models")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
def test_a_line_break_read_with_a_credential_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hunter2\n")
    with pytest.raises(UserError, match=rf"^{name}: expected no space or line break") as caught:
        S3Store("s3://models")
    assert "hunter2" not in str(caught.value)


def test_half_a_pair_of_credentials_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(UserError, match=r"^store s3://models: expected credentials that are whole; check AWS_ACC"):
        S3Store("s3://models")


_TRY = """
from models.store import open_store
store = open_store("s3://locked/released")
print(store.get(store.put(b"by TLS"), 6))
"""


def test_a_server_is_trusted_by_the_certificates_of_ssl_cert_file_alone(locked: S3Server, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with FaultyProxy(locked.port, tls) as between:
        given = {**os.environ, **locked.environment(RELEASER), "AWS_ENDPOINT_URL": f"https://127.0.0.1:{between.port}"}
        for trusted, says in ((True, "b'by TLS'"), (False, "expected to write")):
            environment = {**given, "SSL_CERT_FILE": str(certificate)} if trusted else given
            run = subprocess.run(
                [sys.executable, "-c", _TRY], capture_output=True, text=True, check=False, env=environment, cwd=ROOT
            )
            assert (run.returncode == 0) == trusted
            assert says in run.stdout + run.stderr


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3")])
    now, day = datetime.now(UTC), timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "s3.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (directory / "s3.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return directory / "s3.pem", directory / "s3.key"


def test_who_uses_a_directory_loads_nothing_for_s3(tmp_path: Path) -> None:
    program = f"import sys; from models.store import open_store; open_store({str(tmp_path)!r}); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "models.store" in run.stdout.split()
    assert not {"obstore", "aiohttp", "models.store_s3"} & set(run.stdout.split())
