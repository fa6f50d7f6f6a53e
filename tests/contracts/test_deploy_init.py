"""What `deploy.init` makes: secrets of its own each time, for their owner alone, and never over what is there."""

import datetime
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from contracts.errors import UserError
from deploy.certificates import DAYS
from deploy.init import command
from models.roots import read_root
from tests.support.compose import GID, UID, initialise


def init(into: Path, *options: str) -> Result:
    return initialise(into, *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("init")
    assert init(into, "--signer", "Ada", "--source", "st-mary/icu").exit_code == 0
    return into


def test_secrets_are_for_their_owner_alone(made: Path) -> None:
    private = {
        path for path in (made / "secrets").rglob("*") if path.is_file() and path.suffix not in (".pub", ".json")
    }
    assert len(private) > 30
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in private} == {path.name: "0o600" for path in private}
    for directory in (made / "secrets", made / "secrets/keys", *(made / "data").iterdir()):
        assert oct(directory.stat().st_mode & 0o777) == "0o700", directory


def test_nothing_that_is_there_is_overwritten(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    again = init(made)
    assert isinstance(again.exception, UserError)
    assert "is not overwritten" in str(again.exception)
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("left", ["secrets", "data", ".env"])
def test_what_is_left_of_another_one_is_not_taken_over(tmp_path: Path, left: str) -> None:
    (tmp_path / left).mkdir()
    assert isinstance(init(tmp_path).exception, UserError)
    assert [path.name for path in tmp_path.iterdir()] == [left]


def test_no_two_passwords_are_the_same(made: Path, tmp_path: Path) -> None:
    assert init(tmp_path).exit_code == 0
    found = [path.read_text() for each in (made, tmp_path) for path in (each / "secrets").glob("*.password")]
    assert len(set(found)) == len(found) > 30
    assert all(re.fullmatch(r"[0-9a-f]{64}", password) for password in found)


def test_root_is_nobody_to_run_containers_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.init.os.getuid", lambda: 0)
    refused = CliRunner().invoke(command, ["--into", str(tmp_path)])
    assert isinstance(refused.exception, UserError)
    assert not list(tmp_path.iterdir())


def test_compose_is_told_whom_to_run_as(made: Path) -> None:
    lines = dict(line.split("=") for line in (made / ".env").read_text().splitlines())
    assert re.fullmatch(r"[\w][\w-]{21}", lines.pop("KAFKA_CLUSTER_ID"))
    assert lines == {"CARDIOSENTRY_UID": str(UID), "CARDIOSENTRY_GID": str(GID)}


def test_the_keys_are_of_whom_they_are_asked_for(made: Path) -> None:
    keys = made / "secrets/keys"
    assert {tuple(entry["sources"]) for entry in tomllib.loads((keys / "keyring.toml").read_text()).values()} == {
        ("st-mary/icu",)
    }
    assert [signer.name for signer in read_root(keys).root.signers.values()] == ["Ada", "retraining"]


def test_kibana_has_the_password_that_its_user_gets(made: Path) -> None:
    settings = yaml.safe_load((made / "secrets/kibana.yml").read_text())
    assert settings["elasticsearch.password"] == (made / "secrets/kibana.password").read_text()
    keys = [value for name, value in settings.items() if name.endswith("ncryptionKey")]
    assert len(set(keys)) == 3
    assert all(len(key) >= 32 for key in keys)


@pytest.mark.parametrize(
    ("ca", "certificate", "hosts"),
    [
        ("elastic-ca.pem", "elastic.pem", ("elasticsearch", "localhost")),
        ("elastic-ca.pem", "kibana.pem", ("kibana", "localhost")),
        ("kafka-ca.pem", "kafka-broker.pem", ("kafka", "localhost")),
    ],
)
def test_a_server_is_known_by_its_own_names_and_authority(
    made: Path, ca: str, certificate: str, hosts: tuple[str, ...]
) -> None:
    def verify(authority: str, host: str) -> None:
        trusted = x509.load_pem_x509_certificate((made / "secrets" / authority).read_bytes())
        (shown,) = x509.load_pem_x509_certificates((made / "secrets" / certificate).read_bytes())
        PolicyBuilder().store(Store([trusted])).build_server_verifier(x509.DNSName(host)).verify(shown, [])

    for host in hosts:
        verify(ca, host)
    with pytest.raises(VerificationError):
        verify(ca, "another-host")
    with pytest.raises(VerificationError):
        verify(({"elastic-ca.pem", "kafka-ca.pem"} - {ca}).pop(), hosts[0])


def test_the_administrator_s_certificate_is_no_server_s(made: Path) -> None:
    text = (made / "secrets/kafka-admin.pem").read_bytes()
    trusted = x509.load_pem_x509_certificate((made / "secrets/kafka-ca.pem").read_bytes())
    (shown,) = x509.load_pem_x509_certificates(text)
    assert shown.subject.rfc4514_string() == "CN=kafka-admin"
    shown.verify_directly_issued_by(trusted)
    assert serialization.load_pem_private_key(text, None).public_key() == shown.public_key()
    uses = shown.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert shown.not_valid_after_utc - shown.not_valid_before_utc == datetime.timedelta(days=DAYS + 1)
