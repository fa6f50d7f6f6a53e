"""Who we are comes from the environment or files alone, and is never shown."""

import base64
from pathlib import Path

import pytest

from contracts.errors import UserError
from monitoring.elastic.client import connect
from tests.support.process import run_command
from tests.support.recording import RecordingServer

REFUSED = {
    "no address": (" , ", "", {}, "at least one address"),
    "no scheme": ("localhost:9200", "", {}, "expected an address as https"),
    "no port": ("https://elastic", "", {}, "expected an address as https"),
    "a password in the address": ("https://ada:hidden@elastic:9200", "", {}, "no user or password in the address"),
    "a key without TLS": ("http://elastic:9200", "", {"ELASTIC_API_KEY": "hidden"}, "expected https"),
    "one address of two without TLS": (
        "https://a:9200,http://b:9200",
        "",
        {"ELASTIC_USERNAME": "ada", "ELASTIC_PASSWORD": "hidden"},
        "expected https",
    ),
    "a user without a password": ("https://a:9200", "", {"ELASTIC_USERNAME": "hidden"}, "ELASTIC_USERNAME with"),
    "a key and a user": (
        "https://a:9200",
        "",
        {"ELASTIC_API_KEY": "hidden", "ELASTIC_USERNAME": "ada", "ELASTIC_PASSWORD": "hidden"},
        "ELASTIC_API_KEY alone",
    ),
    "a CA without TLS": ("http://localhost:9200", __file__, {}, "expected addresses of https with it"),
    "no CA file": ("https://a:9200", "missing.pem", {}, "elastic_ca"),
    "a password in what is no address": ("https://ada:hidden@[::1", "", {}, "no user or password in the address"),
    "a key of two lines": (
        "https://a:9200",
        "",
        {"ELASTIC_API_KEY": "hidden\nhidden"},
        "ELASTIC_API_KEY: expected one line",
    ),
    "a key with a byte-order mark": ("https://a:9200", "", {"ELASTIC_API_KEY": "\ufeffhidden"}, "expected one line"),
    "a key in curly quotes": (
        "https://a:9200",
        "",
        {"ELASTIC_API_KEY": "\u201chidden\u201d"},
        "ELASTIC_API_KEY: expected",
    ),
    "a password of bytes that are no text": (
        "https://a:9200",
        "",
        {"ELASTIC_USERNAME": "ada", "ELASTIC_PASSWORD": b"hidden\xff".decode("utf-8", "surrogateescape")},
        "ELASTIC_PASSWORD: expected one line",
    ),
    "no key file": ("https://a:9200", "", {"ELASTIC_API_KEY_FILE": "/missing"}, "ELASTIC_API_KEY_FILE"),
}


@pytest.mark.parametrize(("address", "ca", "environ", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_told_and_no_secret_with_it(
    address: str, ca: str, environ: dict[str, str], says: str
) -> None:
    with pytest.raises(UserError, match=says) as raised:
        connect(address, ca, environ)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("command", [("ship", "--setup"), ("kibana", "import")], ids=" ".join)
def test_a_key_file_of_two_lines_is_told_in_one_sentence_without_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    (file := tmp_path / "key").write_text("c2VjcmV0\nc2VjcmV0\n")
    address = "http://127.0.0.1:9200"
    env = {"ELASTIC_API_KEY_FILE": str(file), "CARDIOSENTRY_ELASTIC": address, "CARDIOSENTRY_KIBANA": address}
    run = run_command(*command, env=env)
    assert run.returncode == 1
    assert run.stderr == "error: ELASTIC_API_KEY_FILE: expected one line of text alone, got signs that do not show\n"


@pytest.mark.parametrize("password", ["pass:word", "grün", "łódź"])
def test_a_password_of_any_letters_may_stand_in_a_file(tmp_path: Path, password: str) -> None:
    file = tmp_path / "password"
    file.write_text(f"{password}\n", "utf-8")
    environ = {"ELASTIC_USERNAME": "ada", "ELASTIC_PASSWORD_FILE": str(file)}
    with RecordingServer(lambda _: (200, {})) as server, connect(server.address, "", environ) as client:
        client.indices.get_mapping(index="a")
    kind, _, encoded = server.requests[0].headers["authorization"].partition(" ")
    assert (kind, base64.b64decode(encoded).decode()) == ("Basic", f"ada:{password}")


@pytest.mark.parametrize("arguments", [["settings"], ["ship", "--setup"], ["ship", "gates", "missing"]], ids=" ".join)
def test_no_command_shows_a_key(arguments: list[str]) -> None:
    error = {"error": {"type": "security_exception", "reason": "unable to authenticate c2VjcmV0"}, "status": 401}
    with RecordingServer(lambda _: (401, error)) as server:
        env = {"ELASTIC_API_KEY": "c2VjcmV0", "CARDIOSENTRY_ELASTIC": server.address}
        run = run_command(*arguments, env=env)
    assert "c2VjcmV0" not in run.stdout + run.stderr
    assert run.returncode == (0 if arguments == ["settings"] else 1)
    if arguments == ["ship", "--setup"]:
        assert run.stderr.startswith("error: Elasticsearch: expected a key or password that it takes")
