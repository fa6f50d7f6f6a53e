"""The store in an S3 bucket: `prefix/ab/abcdef…` holds the file whose SHA-256 is abcdef….

Who may write is the bucket's business, by its policy; that nothing is replaced, by its retention lock
(docs/operating.md). Endpoint, region and credentials come from AWS_… in the environment or from the host's role.

Signing and writing are obstore's. Reading is not, for it takes the whole body of an error answer into memory (2 GB in
5 s, obstore 0.12.1): whoever holds the store could end every worker. Files are read by a signed URL instead, within
bounds of time and memory that no answer can stretch.
"""

import asyncio
import hashlib
import os
import re
from datetime import timedelta
from http import HTTPStatus

import aiohttp
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket
from yarl import URL

from contracts.errors import RetryableError, UserError
from models.store import checked

_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>[A-Za-z0-9._/-]*))?")
_STATUS = re.compile(r"status code: (\d{3})")
_BYTES_PER_S = 1024 * 1024  # the slowest network that a file may come by
_SKEW = timedelta(minutes=15)  # by how much S3 lets clocks differ; the signed URL stays in this process
_PUT_S = 64.0  # the largest file has 64 MiB (models/bundle.py)

_ENDPOINT = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?(/[^?#\s]*)?")
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
_HEADER = re.compile(r"[!-~]*")
_HEADERS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_TOKEN")

_CREDENTIALS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what the bucket's policy lets them do"
_PLACE = "check AWS_ENDPOINT_URL and AWS_REGION"
_ADVICE: dict[int, str] = {
    HTTPStatus.MOVED_PERMANENTLY: _PLACE,
    HTTPStatus.TEMPORARY_REDIRECT: _PLACE,
    HTTPStatus.BAD_REQUEST: _PLACE,
    HTTPStatus.UNAUTHORIZED: _CREDENTIALS,
    HTTPStatus.FORBIDDEN: _CREDENTIALS,
    HTTPStatus.NOT_FOUND: "there is no such file or no such bucket",
}


class S3Store:
    """A bucket, given as `s3://bucket/prefix`; raises `UserError` for another form or for AWS_… that cannot be used.

    The store may be silent for `answer_s` seconds; a whole file may take as long, and a second more for every MiB.
    """

    def __init__(self, url: str, *, answer_s: float = 10.0) -> None:
        form = _URL.fullmatch(url)
        if form is None:  # what was given may hold a secret
            raise UserError("store: expected s3://BUCKET or s3://BUCKET/PREFIX, got another form of s3://…")
        _check_environment()
        self._url = url
        self._answer_s = answer_s
        try:
            self._bucket = Bucket(
                form["bucket"],
                prefix=(form["prefix"] or "").strip("/") or None,
                checksum_algorithm="sha256",  # S3 wants a checksum of what goes under a retention lock
                client_options={
                    "allow_http": True,  # for whoever writes http:// into AWS_ENDPOINT_URL
                    "connect_timeout": timedelta(seconds=answer_s),
                    "timeout": timedelta(seconds=answer_s + _PUT_S),
                },
                retry_config={"max_retries": 0},  # whoever asked tries again
            )
        except BaseError:  # one half of a pair of credentials
            raise UserError(f"store {url}: expected credentials that are whole; {_CREDENTIALS}") from None

    def put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        try:
            obstore.put(self._bucket, _place(sha256), content, mode="create", use_multipart=False)
        except (BaseError, FileNotFoundError) as error:  # the latter is a bucket that is not there
            try:
                self.get(sha256, len(content))  # it was there, or it arrived and the answer was lost
            except RetryableError:
                raise UserError(f"store {self._url}: expected to write {sha256}, got {_why(error)}") from None
        return sha256

    def get(self, sha256: str, size: int) -> bytes:
        whole_s = self._answer_s + size / _BYTES_PER_S
        try:
            signed = obstore.sign(self._bucket, "GET", _place(sha256), expires_in=_SKEW)
            content = asyncio.run(self._read(URL(signed, encoded=True), size, whole_s))
        except BaseError:  # signing asks nobody but whoever hands out credentials
            raise self._absent(sha256, f"no credentials; {_CREDENTIALS}") from None
        except TimeoutError:
            raise self._absent(sha256, f"no whole answer within {whole_s:.0f} s") from None
        except aiohttp.ClientError as error:  # its text would show the signed URL
            said = error.strerror if isinstance(error, aiohttp.ClientOSError) else None
            raise self._absent(sha256, said or type(error).__name__) from None
        if isinstance(content, int):
            raise self._absent(sha256, _said(content))
        return checked(content, sha256, size)

    async def _read(self, url: URL, size: int, whole_s: float) -> bytes | int:
        """Return what came, at most one byte more than `size`, or the HTTP status that came instead."""
        timeout = aiohttp.ClientTimeout(total=whole_s, sock_connect=self._answer_s, sock_read=self._answer_s)
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False, trust_env=True) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                return answer.status  # its body is left unread: it may be endless too
            content = bytearray()
            while len(content) <= size and (part := await answer.content.read(size + 1 - len(content))):
                content += part
            return bytes(content)

    def _absent(self, sha256: str, why: str) -> RetryableError:
        return RetryableError(f"store {self._url}: expected the file {sha256}, got: {why}")


def _check_environment() -> None:
    """Raise `UserError` for what obstore would panic over: a panic is no exception that anybody catches."""
    for name in _ENDPOINTS:
        endpoint = _ENDPOINT.fullmatch(os.environ.get(name, "https://amazonaws.com"))
        if endpoint is None or int(endpoint["port"] or 0) > 65535:
            raise UserError(f"{name}: expected http://HOST:PORT or https://HOST:PORT, got another form")
    for name in _HEADERS:
        if not _HEADER.fullmatch(os.environ.get(name, "")):
            raise UserError(f"{name}: expected no space or line break in it, got one")


def _place(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _said(status: int) -> str:
    return f"HTTP status {status}; {_ADVICE[status]}" if status in _ADVICE else f"HTTP status {status}"


def _why(error: Exception) -> str:
    """Return why a put failed, in words of ours: obstore's text repeats the server's, which names the access key."""
    status = _STATUS.search(str(error))
    return _said(int(status[1])) if status else f"no answer; {_PLACE}; {_CREDENTIALS}"
