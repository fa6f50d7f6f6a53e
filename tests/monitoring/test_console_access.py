"""Who may see the page: this machine, and from elsewhere whoever has the token."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.keyfiles import generate_keys, read_console_token
from cli.main import cardiosentry
from contracts.errors import UserError
from monitoring.console.access import SESSION_S, Access

TOKEN = "5f" * 32

NO_TEXT = b"\xff".decode("utf-8", "surrogateescape")  # as a server has it of a header

REQUESTS: dict[str, tuple[str, str, dict[str, str], bool]] = {
    # listening address, Host, further headers, allowed
    "this machine": ("127.0.0.1", "127.0.0.1:6080", {}, True),
    "this machine by name": ("127.0.0.1", "localhost:6080", {}, True),
    "this machine over IPv6": ("::1", "[::1]:6080", {}, True),
    "a proxy here that says it is one": ("127.0.0.1", "127.0.0.1:6080", {"proxied": "yes"}, False),
    "a name that somebody made point here": ("127.0.0.1", "evil.example:6080", {}, False),
    "a name that begins like ours": ("127.0.0.1", "localhost.evil.example", {}, False),
    "no name": ("127.0.0.1", "", {}, False),
    "elsewhere, who says it is this machine": ("10.1.2.3", "localhost:6080", {}, False),
    "elsewhere without a token": ("10.1.2.3", "console.example", {}, False),
    "elsewhere with the token": ("10.1.2.3", "console.example", {"authorization": f"Bearer {TOKEN}"}, True),
    "a proxy here, with the token": (
        "127.0.0.1",
        "console.example",
        {"authorization": f"bearer {TOKEN}"},
        True,
    ),
    "another token": ("10.1.2.3", "console.example", {"authorization": f"Bearer {TOKEN[:-1]}0"}, False),
    "the token in another scheme": ("10.1.2.3", "console.example", {"authorization": f"Basic {TOKEN}"}, False),
    "an empty token": ("10.1.2.3", "console.example", {"authorization": "Bearer "}, False),
    "the token as a cookie": ("10.1.2.3", "console.example", {"cookie": TOKEN}, False),
    "a session that nobody signed": ("10.1.2.3", "console.example", {"cookie": "99999999999." + "0" * 64}, False),
    "a session of no number": ("10.1.2.3", "console.example", {"cookie": "².x"}, False),
    "letters beyond ASCII": ("10.1.2.3", "console.example", {"authorization": "Bearer ä", "cookie": "ä"}, False),
    "bytes that are no text": (
        *("10.1.2.3", "console.example", {"authorization": f"Bearer {NO_TEXT}", "cookie": f"1.{NO_TEXT}"}, False),
    ),
}


@pytest.mark.parametrize(("listening", "host", "more", "allowed"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_let_in_by_where_it_comes_from_or_what_it_knows(
    listening: str, host: str, more: dict[str, str], allowed: bool
) -> None:
    access = Access(TOKEN, listening)
    given = {"cookie": more.get("cookie"), "authorization": more.get("authorization")}
    assert access.allows(host=host, proxied="proxied" in more, **given) is allowed


def test_a_session_ends_by_time_and_by_a_new_token_and_holds_no_token() -> None:
    now = [1_000_000.0]

    def lets_in(access: Access, session: str) -> bool:
        return access.allows(host="console.example", proxied=False, cookie=session, authorization=None)

    access = Access(TOKEN, "10.1.2.3", now_s=lambda: now[0])
    session = access.session()
    assert TOKEN not in session
    assert lets_in(access, session)
    assert lets_in(Access(TOKEN, "10.1.2.3", now_s=lambda: now[0]), session), "a restart ends no session"
    assert not lets_in(Access("6a" * 32, "10.1.2.3", now_s=lambda: now[0]), session)
    ends, _, signature = session.partition(".")
    assert not lets_in(access, f"{int(ends) + 1}.{signature}")
    now[0] += SESSION_S
    assert not lets_in(access, session)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "console.example", ""])  # noqa: S104
def test_nobody_listens_beyond_this_machine_without_a_token(host: str) -> None:
    with pytest.raises(UserError, match=r"console_host: expected a loopback address.*keys generate"):
        Access(None, host)


def test_a_token_that_can_be_guessed_is_refused_and_not_repeated() -> None:
    with pytest.raises(UserError, match="32 characters or more, got 7") as refused:
        Access("hunter2", "10.1.2.3")
    assert "hunter2" not in str(refused.value)


def test_the_token_comes_from_the_environment_or_the_key_directory(tmp_path: Path) -> None:
    assert read_console_token(tmp_path, {}) is None
    list(generate_keys(tmp_path, ("uci",)))
    made = read_console_token(tmp_path, {})
    assert made is not None
    assert len(made) == 64
    assert (tmp_path / "console.token").stat().st_mode & 0o077 == 0
    assert read_console_token(tmp_path, {"CONSOLE_TOKEN": TOKEN}) == TOKEN


def test_the_command_refuses_another_address_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONSOLE_TOKEN", raising=False)
    refused = CliRunner().invoke(cardiosentry, ["console", "--keys", str(tmp_path), "--console-host", "10.1.2.3"])
    assert isinstance(refused.exception, UserError)
    assert "got '10.1.2.3' without a token" in str(refused.exception)
