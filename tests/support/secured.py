"""A real Kafka that trusts nobody: TLS, SCRAM users, and no right that was not granted.

Brokers know each other by certificates, on listeners of their own; clients come to the third one, by name and password.
"""

import datetime
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from deploy.certificates import Authority
from tests.support.kafka import SETTINGS, KafkaServer
from tests.support.ports import free_ports

MECHANISM = "SCRAM-SHA-512"
_BROKER = "broker"

_SECURITY = """\
listeners=SASL_SSL://127.0.0.1:{port},INTERNAL://127.0.0.1:{internal_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=SASL_SSL://127.0.0.1:{port},INTERNAL://127.0.0.1:{internal_port}
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=SASL_SSL:SASL_SSL,INTERNAL:SSL,CONTROLLER:SSL
sasl.enabled.mechanisms={mechanism}
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.internal.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:CN={broker}
"""


class SecuredKafka(KafkaServer):
    """One broker that clients reach by SASL_SSL. Its own certificate is that of the administrator too."""

    def __init__(self) -> None:
        super().__init__()
        authority = new_authority("ca")
        signed = authority.sign(_BROKER, ("127.0.0.1",))
        self.ca, self._pem = self._dir / "ca.pem", self._dir / "broker.pem"
        self.ca.write_bytes(authority.certificate)
        self._pem.write_bytes(signed.key + signed.certificate)
        (self._internal_port,) = free_ports(1)

    @property
    def admin_bootstrap(self) -> str:
        return f"127.0.0.1:{self._internal_port}"

    @property
    def admin_kafka(self) -> dict[str, str]:
        """librdkafka's properties of the administrator."""
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.ca),
            "ssl.certificate.location": str(self._pem),
            "ssl.key.location": str(self._pem),
        }

    @property
    def admin_properties(self) -> dict[str, str]:
        return {"bootstrap.servers": self.admin_bootstrap, **self.admin_kafka}

    @property
    def admin_file(self) -> str:
        """Java's properties of the administrator."""
        return (
            "security.protocol=SSL\n"
            f"ssl.keystore.type=PEM\nssl.keystore.location={self._pem}\n"
            f"ssl.truststore.type=PEM\nssl.truststore.location={self.ca}\n"
        )

    def client_kafka(self, user: str, password: str) -> dict[str, str]:
        """librdkafka's properties of a user."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.ca),
            "sasl.mechanism": MECHANISM,
            "sasl.username": user,
            "sasl.password": password,
        }

    def add_users(self, passwords: dict[str, str]) -> None:
        """Make users, or change their passwords."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wanted: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, info, password.encode()) for user, password in passwords.items()
        ]
        admin = AdminClient(dict(self.admin_properties))
        for done in admin.alter_user_scram_credentials(wanted).values():
            done.result(timeout=30)

    def _settings(self, data: Path) -> str:
        replaced = ("listeners=", "advertised.listeners=", "listener.security.protocol.map=")
        plain = [line for line in SETTINGS.splitlines() if not line.startswith(replaced)]
        return ("\n".join(plain) + "\n" + _SECURITY).format(
            port=self._port,
            internal_port=self._internal_port,
            controller_port=self._controller_port,
            data=data,
            mechanism=MECHANISM,
            keystore=self._pem,
            truststore=self.ca,
            broker=_BROKER,
        )


def new_authority(name: str) -> Authority:
    """Return one whose certificates count from now on."""
    return Authority(name, now=datetime.datetime.now(datetime.UTC))
