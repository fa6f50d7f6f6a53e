"""A password comes from a file that the settings name, and never from an option."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cardiosentry
from contracts.errors import UserError
from stream_app.configuration import read_settings


def test_the_password_is_read_from_the_file_that_the_settings_name(tmp_path: Path) -> None:
    password, file = tmp_path / "password", tmp_path / "site.toml"
    password.write_text("hunter2\n")
    file.write_text(f'sasl_password_file = "{password}"')
    assert read_settings(file).kafka == {"sasl.password": "hunter2"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    password = tmp_path / "password"
    if content is not None:
        password.write_bytes(content)
    with pytest.raises(UserError, match=f"^{password}: expected a readable file with a password"):
        read_settings(options={"sasl_password_file": str(password)})


@pytest.mark.parametrize("name", ["sasl.password", "ssl.key.password", "SASL.Password"])
def test_a_secret_in_an_option_is_refused_and_not_repeated(name: str) -> None:
    done = CliRunner().invoke(cardiosentry, ["settings", "-X", f"{name}=hunter2"])
    assert done.exit_code == 2
    assert f"option -X: expected {name} in the settings file or the environment" in done.output
    assert "hunter2" not in done.output


def test_a_user_s_name_may_be_an_option() -> None:
    done = CliRunner().invoke(cardiosentry, ["settings", "-X", "sasl.username=ada"])
    assert done.exit_code == 0, done.output
