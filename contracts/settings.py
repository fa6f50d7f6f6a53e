"""Settings: a TOML file, then CARDIOSENTRY_… in the environment, then options; the later wins.

Unknown settings are refused. This module does no I/O: the caller hands in the file's text and the environment.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from contracts.errors import UserError

# What the guarantees rest on is not for passing through, nor what has a setting of its own or takes a Python function.
_RESERVED = {
    "bootstrap.servers": "the setting bootstrap",
    "metadata.broker.list": "the setting bootstrap",
    "group.id": "the setting group",
    "group.instance.id": "the setting instance",
    "transactional.id": "the setting instance",
    **dict.fromkeys(
        (
            "acks",
            "request.required.acks",
            "enable.idempotence",
            "enable.gapless.guarantee",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
            "enable.auto.commit",
            "auto.commit.enable",
            "enable.auto.offset.store",
            "isolation.level",
            "auto.offset.reset",
            "partition.assignment.strategy",
            "group.protocol",
            "partitioner",
            "queue.buffering.max.messages",
            "queue.buffering.max.kbytes",
            "message.timeout.ms",
            "delivery.timeout.ms",
            "delivery.report.only.error",
            "enable.partition.eof",
        ),
        "CardioSentry, because nothing lost and nothing doubled rests on it",
    ),
}
_CALLABLE_PROPERTY = re.compile(r"_cb$|^(logger|on_delivery|on_commit)$")

ENV_PREFIX = "CARDIOSENTRY_"
CONFIG_VARIABLE = "CARDIOSENTRY_CONFIG"
_ENV_KAFKA_PREFIX = "CARDIOSENTRY_KAFKA_"
_SECRET_PROPERTY = re.compile(
    r"password|passphrase|secret|key\.pem|sasl\.username|token|oauthbearer\.config|extensions|kinit\.cmd|jaas",
    re.IGNORECASE,
)

_GATEWAY = re.compile(r"((https?://)?[^/@\s]+(/[^@\s]*)?)?")

Positive = msgspec.Meta(ge=1)
Port = msgspec.Meta(ge=0, le=65535)


def _says(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. Paths are relative to where the command runs."""

    bootstrap: Annotated[str, _says("Kafka's address, host:port")] = "localhost:9092"
    topic_prefix: Annotated[
        str, _says("put before every topic's name, so that several systems can share a cluster")
    ] = ""
    group: Annotated[str, _says("consumer group of the workers")] = "cardiosentry"
    instance: Annotated[str, _says("this host's stable name in transactional ids; empty: the host name")] = ""
    store: Annotated[str, _says("where the files of released models lie: a directory, or s3://bucket/prefix")] = "store"
    keys: Annotated[str, _says("directory made by `keys generate`, or the part of it that this process needs")] = "keys"
    state: Annotated[str, _says("directory where workers remember the releases that they accepted")] = "state"
    require_mac: Annotated[bool, _says("refuse records without a MAC; false: score them with authenticated=false")] = (
        True
    )
    shadows: Annotated[int, msgspec.Meta(ge=0), _says("newest shadow releases that score beside the champion")] = 1
    shadow_share: Annotated[
        float,
        msgspec.Meta(ge=0),
        _says("scoring time of challenger and shadows, as a share of the champion's"),
    ] = 0.5
    false_alarm_days: Annotated[
        float, msgspec.Meta(gt=0), _says("mean time between two false alarms of all statistics, days")
    ] = 30.0
    max_future_s: Annotated[int, Positive, _says("seconds from now; what was observed later is refused")] = 300
    delivery: Annotated[
        Literal["exactly-once", "at-least-once"], _says("what a crash may cost: nothing, or records written twice")
    ] = "exactly-once"
    commit_interval_ms: Annotated[
        int, Positive, _says("commit at the latest after this; at once when there is nothing left to read")
    ] = 500
    workers: Annotated[int, Positive, _says("worker processes")] = 1
    web_host: Annotated[str, _says("address that health checks and metrics listen on")] = "127.0.0.1"
    web_port: Annotated[int, Port, _says("port of worker 0, worker i has the i-th after it; 0: any free port")] = 6066
    alertmanager: Annotated[str, _says("Alertmanager's address; those of a cluster with commas between")] = (
        "http://localhost:9093"
    )
    alertmanager_login: Annotated[
        str, _says("file that holds user:password for Alertmanager; empty: it asks for none")
    ] = ""
    notify_interval_s: Annotated[
        float, msgspec.Meta(gt=0), _says("seconds between two posts of what stands and of the watchdog")
    ] = 30.0
    runbooks: Annotated[str, _says("what goes before docs/runbooks/… in a page, such as https://host/path/")] = ""
    alert_page: Annotated[
        str, _says("address that a page leads to, {event_id} in it stands for the alert's id; empty: none")
    ] = ""
    console_host: Annotated[
        str, _says("address that the console listens on; beyond this machine it needs a token (console.token in keys)")
    ] = "127.0.0.1"
    console_port: Annotated[int, Port, _says("port of the console; 0: any free port")] = 6080
    pushgateway: Annotated[
        str,
        _says("Prometheus Pushgateway that hears of every retrain, host:port or an address without a password"),
    ] = ""
    metrics_port: Annotated[
        int, Port, _says("port on which ship, notify, console and triggers show their metrics, at web_host; 0: none")
    ] = 0
    sasl_password_file: Annotated[
        str, _says("file with the password of Kafka's user, in place of the librdkafka property sasl.password")
    ] = ""
    log_format: Annotated[
        Literal["text", "ecs"], _says("what processes log: a line of text an event, or one of ECS JSON")
    ] = "text"
    elastic: Annotated[str, _says("Elasticsearch's address, https://host:port; several parted by commas")] = (
        "http://localhost:9200"
    )
    elastic_ca: Annotated[
        str, _says("file of the CA that signed Elasticsearch's certificate; empty: the ones this host trusts")
    ] = ""
    kibana: Annotated[str, _says("Kibana's address, https://host:port, with its path if it has one")] = (
        "http://localhost:5601"
    )
    kibana_ca: Annotated[
        str, _says("file of the CA that signed Kibana's certificate; empty: the ones this host trusts")
    ] = ""
    beat: Annotated[
        str, _says("file that notify, ship and triggers touch while they work, for `health`; empty: none")
    ] = ""
    kafka: Annotated[dict[str, str], _says("any librdkafka property")] = {}


def describe() -> dict[str, str]:
    """Return each setting's name with what it does, in the order of the struct."""
    fields = msgspec.inspect.type_info(Settings)
    assert isinstance(fields, msgspec.inspect.StructType)  # noqa: S101 - Settings is a struct
    return {
        field.name: (field.type.extra_json_schema or {})["description"]
        for field in fields.fields
        if isinstance(field.type, msgspec.inspect.Metadata)
    }


def load_settings(
    file_text: str | None, environ: Mapping[str, str], options: Mapping[str, Any], *, file: str = ""
) -> Settings:
    """Merge the three sources into checked settings.

    `options` holds what was given on the command line; None means not given, `kafka` holds librdkafka properties.
    In the environment CARDIOSENTRY_KAFKA_SECURITY_PROTOCOL means the property security.protocol.
    Raises `UserError` that names the source and the setting.
    """
    merged: dict[str, Any] = {"kafka": {}}
    for origin, values in (
        (file or "configuration file", _from_toml(file_text, file)),
        ("environment", _from_environment(environ)),
        ("options", {name: value for name, value in options.items() if value is not None}),
    ):
        kafka = {**merged["kafka"], **_properties(origin, values.get("kafka", {}))}
        merged = {**merged, **values, "kafka": kafka}
        try:
            settings = msgspec.convert(merged, Settings, strict=False)
        except msgspec.ValidationError as error:
            raise UserError(f"{origin}: {_explain(str(error))}") from None
        if not _GATEWAY.fullmatch(settings.pushgateway):
            expected = "host:port or http://host:port/path, without a user or password"
            raise UserError(f"{origin}: setting pushgateway: expected {expected}")
        for name in settings.kafka:
            if name in _RESERVED or _CALLABLE_PROPERTY.search(name):
                whose = _RESERVED.get(name, "CardioSentry, because it takes a function")
                raise UserError(f"{origin}: librdkafka property {name}: expected it to be left to {whose}")
    return settings


def with_password(settings: Settings, text: str) -> Settings:
    """Return the settings with what `sasl_password_file` holds; raises `UserError` if there are two or none."""
    if "sasl.password" in settings.kafka:
        raise UserError("setting sasl_password_file: expected it or the librdkafka property sasl.password, got both")
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password:
        lines = password.count("\n") + 1 if password else 0
        raise UserError(f"{settings.sasl_password_file}: expected a password on one line, got {lines} lines")
    return msgspec.structs.replace(settings, kafka={**settings.kafka, "sasl.password": password})


def is_secret(name: str) -> bool:
    """Whether a librdkafka property is not for showing."""
    return _SECRET_PROPERTY.search(name) is not None


def masked(settings: Settings) -> dict[str, Any]:
    """Return the settings as a dict for people to read, secrets as `***`."""
    shown = msgspec.structs.asdict(settings)
    shown["kafka"] = {name: "***" if is_secret(name) else value for name, value in sorted(settings.kafka.items())}
    return shown


def _from_toml(text: str | None, file: str) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{file or 'configuration file'}: expected TOML, got a syntax error: {error}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kafka: dict[str, str] = {}
    for variable, value in environ.items():
        if variable.startswith(_ENV_KAFKA_PREFIX):
            kafka[variable.removeprefix(_ENV_KAFKA_PREFIX).lower().replace("_", ".")] = value
        elif variable.startswith(ENV_PREFIX) and variable != CONFIG_VARIABLE:
            found[variable.removeprefix(ENV_PREFIX).lower()] = value
    if "kafka" in found:
        raise UserError(f"environment: setting kafka: expected one variable {_ENV_KAFKA_PREFIX}… a librdkafka property")
    return {**found, "kafka": kafka}


def _properties(origin: str, given: object, path: str = "") -> dict[str, str]:
    """Return librdkafka's properties as text, the form it takes: TOML has true and 5, librdkafka "true" and "5".

    TOML reads security.protocol = "SSL", without quotes around its name, as a table in a table: it means the same.
    """
    if isinstance(given, Mapping):
        return {
            name: text
            for key, value in given.items()
            for name, text in _properties(origin, value, f"{path}.{key}" if path else str(key)).items()
        }
    if not path or not isinstance(given, str | int | float):
        where = f"kafka.{path}" if path else "kafka"
        expected = "text, a number or true or false" if path else "a table of librdkafka properties"
        raise UserError(f"{origin}: setting {where}: expected {expected}, got `{type(given).__name__}`")
    return {path: str(given).lower() if isinstance(given, bool) else str(given)}


def _explain(text: str) -> str:
    unknown = re.search(r"unknown field `(.*)`", text)
    if unknown:
        names = ", ".join(Settings.__struct_fields__)
        return f"expected one of the settings {names}; got {unknown[1]!r}"
    wrong = re.search(r"(?P<what>.*) - at `\$\.(?P<where>[^`]*)`", text, re.DOTALL)
    if wrong:
        what = wrong["what"][0].lower() + wrong["what"][1:]
        return f"setting {wrong['where']}: {what}"
    return text
