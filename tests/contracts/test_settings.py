"""Settings come from a file, then the environment, then options; the later wins and an unknown one is refused."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import UserError
from contracts.settings import Settings, describe, load_settings, masked, with_password

FILE = "site.toml"

# Three values for every setting but kafka, none of them the default: in the file, the environment, the options.
VALUES: dict[str, tuple[str, str, Any, list[Any]]] = {
    "bootstrap": ('"file:1"', "env:2", "option:3", ["file:1", "env:2", "option:3"]),
    "topic_prefix": ('"file-"', "env-", "option-", ["file-", "env-", "option-"]),
    "group": ('"file"', "env", "option", ["file", "env", "option"]),
    "instance": ('"file"', "env", "option", ["file", "env", "option"]),
    "store": ('"file"', "env", "option", ["file", "env", "option"]),
    "keys": ('"file"', "env", "option", ["file", "env", "option"]),
    "state": ('"file"', "env", "option", ["file", "env", "option"]),
    "require_mac": ("false", "true", False, [False, True, False]),
    "shadows": ("0", "2", 3, [0, 2, 3]),
    "shadow_share": ("0", "0.2", 0.3, [0.0, 0.2, 0.3]),
    "false_alarm_days": ("1", "2", 3, [1.0, 2.0, 3.0]),
    "max_future_s": ("1", "2", 3, [1, 2, 3]),
    "delivery": (
        '"at-least-once"',
        "exactly-once",
        "at-least-once",
        ["at-least-once", "exactly-once", "at-least-once"],
    ),
    "commit_interval_ms": ("1", "2", 3, [1, 2, 3]),
    "workers": ("2", "3", 4, [2, 3, 4]),
    "web_host": ('"127.0.0.3"', "127.0.0.2", "::1", ["127.0.0.3", "127.0.0.2", "::1"]),
    "web_port": ("1", "2", 0, [1, 2, 0]),
    "alertmanager": ('"file"', "env", "option", ["file", "env", "option"]),
    "alertmanager_login": ('"file"', "env", "option", ["file", "env", "option"]),
    "notify_interval_s": ("1", "0.5", 2, [1.0, 0.5, 2.0]),
    "runbooks": ('"file"', "env", "option", ["file", "env", "option"]),
    "alert_page": ('"file"', "env", "option", ["file", "env", "option"]),
    "console_host": ('"127.0.0.3"', "127.0.0.2", "::1", ["127.0.0.3", "127.0.0.2", "::1"]),
    "console_port": ("1", "2", 0, [1, 2, 0]),
    "pushgateway": ('"file:1"', "http://env:2", "https://option/3", ["file:1", "http://env:2", "https://option/3"]),
    "metrics_port": ("1", "2", 3, [1, 2, 3]),
    "sasl_password_file": ('"file"', "env", "option", ["file", "env", "option"]),
    "log_format": ('"ecs"', "text", "ecs", ["ecs", "text", "ecs"]),
    "elastic": (
        '"http://file:1"',
        "http://env:2",
        "http://option:3",
        ["http://file:1", "http://env:2", "http://option:3"],
    ),
    "elastic_ca": ('"file.pem"', "env.pem", "option.pem", ["file.pem", "env.pem", "option.pem"]),
    "kibana": (
        '"http://file:1"',
        "http://env:2",
        "http://option:3",
        ["http://file:1", "http://env:2", "http://option:3"],
    ),
    "kibana_ca": ('"file.pem"', "env.pem", "option.pem", ["file.pem", "env.pem", "option.pem"]),
    "beat": ('"file"', "env", "option", ["file", "env", "option"]),
}


def load(file: str | None = None, environ: Mapping[str, str] | None = None, **options: object) -> Settings:
    return load_settings(file, environ or {}, options, file=FILE)


def test_the_table_of_values_names_every_setting() -> None:
    assert [*VALUES, "kafka"] == list(Settings.__struct_fields__)


@pytest.mark.parametrize("name", VALUES)
def test_options_win_over_the_environment_and_that_over_the_file(name: str) -> None:
    in_file, in_environment, option, (from_file, from_environment, from_option) = VALUES[name]
    file, environ = f"{name} = {in_file}", {f"CARDIOSENTRY_{name.upper()}": in_environment}

    assert getattr(load(file), name) == from_file
    assert getattr(load(None, environ), name) == from_environment
    assert getattr(load(file, environ), name) == from_environment
    assert getattr(load(file, environ, **{name: option}), name) == from_option
    assert getattr(load(file, **{name: option}), name) == from_option
    assert getattr(load(file, environ, **{name: None}), name) == from_environment  # an option that was not given
    # The others stay as they are.
    default = msgspec.structs.asdict(Settings())
    assert {**msgspec.structs.asdict(load(file)), name: default[name]} == default


@given(
    st.sets(st.sampled_from(list(VALUES))),
    st.sets(st.sampled_from(list(VALUES))),
    st.sets(st.sampled_from(list(VALUES))),
)
def test_each_setting_comes_from_the_last_source_that_has_it(
    file: set[str], environ: set[str], options: set[str]
) -> None:
    settings = load(
        "\n".join(f"{name} = {VALUES[name][0]}" for name in file),
        {f"CARDIOSENTRY_{name.upper()}": VALUES[name][1] for name in environ},
        **{name: VALUES[name][2] for name in options},
    )
    for name, (*_, expected) in VALUES.items():
        sources = [name in file, name in environ, name in options]
        last = max((place for place, there in enumerate(sources) if there), default=None)
        assert getattr(settings, name) == (getattr(Settings(), name) if last is None else expected[last])


def test_kafka_properties_of_all_sources_are_merged_and_the_later_wins() -> None:
    settings = load(
        '[kafka]\n"a.file" = "1"\n"b.both" = "1"\n"c.all" = "1"',
        {"CARDIOSENTRY_KAFKA_B_BOTH": "2", "CARDIOSENTRY_KAFKA_C_ALL": "2", "CARDIOSENTRY_KAFKA_D_ENV": "2"},
        kafka={"c.all": "3", "e.option": "3"},
    )
    assert settings.kafka == {"a.file": "1", "b.both": "2", "c.all": "3", "d.env": "2", "e.option": "3"}


@pytest.mark.parametrize(
    ("line", "expected"),
    {
        '"enable.ssl.certificate.verification" = true': {"enable.ssl.certificate.verification": "true"},
        '"enable.ssl.certificate.verification" = false': {"enable.ssl.certificate.verification": "false"},
        '"linger.ms" = 5': {"linger.ms": "5"},
        '"linger.ms" = 0.5': {"linger.ms": "0.5"},
        '"security.protocol" = "SSL"': {"security.protocol": "SSL"},
        'security.protocol = "SSL"\nssl.ca.location = "ca.pem"': {
            "security.protocol": "SSL",
            "ssl.ca.location": "ca.pem",
        },
        "socket.keepalive.enable = true": {"socket.keepalive.enable": "true"},
        "[kafka.ssl]\nca.location = 'ca.pem'": {"ssl.ca.location": "ca.pem"},
    }.items(),
)
def test_toml_values_become_librdkafkas_text(line: str, expected: dict[str, str]) -> None:
    assert load(f"[kafka]\n{line}").kafka == expected


REFUSED: dict[str, tuple[str | None, dict[str, str], dict[str, Any], list[str]]] = {
    "unknown in the file": ("nope = 1", {}, {}, [FILE, "'nope'", "workers"]),
    "unknown in the environment": (None, {"CARDIOSENTRY_NOPE": "1"}, {}, ["environment", "'nope'", "workers"]),
    "unknown among the options": (None, {}, {"nope": 1}, ["options", "'nope'", "workers"]),
    "unknown table in the file": ("[web]\nport = 1", {}, {}, [FILE, "'web'"]),
    "wrong type in the file": ("workers = [1]", {}, {}, [FILE, "setting workers", "expected `int`, got `array`"]),
    "number for text": ("group = 1", {}, {}, [FILE, "setting group", "expected `str`, got `int`"]),
    "too small in the environment": (
        None,
        {"CARDIOSENTRY_WORKERS": "0"},
        {},
        ["environment", "setting workers", ">= 1"],
    ),
    "no number in the environment": (None, {"CARDIOSENTRY_WORKERS": "two"}, {}, ["environment", "setting workers"]),
    "no boolean in the environment": (None, {"CARDIOSENTRY_REQUIRE_MAC": "maybe"}, {}, ["environment", "require_mac"]),
    "empty in the environment": (None, {"CARDIOSENTRY_REQUIRE_MAC": ""}, {}, ["environment", "require_mac"]),
    "port too large among the options": (None, {}, {"web_port": 65536}, ["options", "setting web_port", "<= 65535"]),
    "unknown delivery": (None, {}, {"delivery": "maybe"}, ["options", "setting delivery"]),
    "wrong in the file, right among the options": ("workers = 0", {}, {"workers": 1}, [FILE, "setting workers"]),
    "kafka as a number": ("kafka = 3", {}, {}, [FILE, "setting kafka", "expected a table", "got `int`"]),
    "kafka as text": ('kafka = "a=b"', {}, {}, [FILE, "setting kafka", "got `str`"]),
    "kafka as a list of tables": ("[[kafka]]\na = 1", {}, {}, [FILE, "setting kafka", "got `list`"]),
    "kafka as one variable": (None, {"CARDIOSENTRY_KAFKA": "a=b"}, {}, ["environment", "CARDIOSENTRY_KAFKA_…"]),
    "kafka as one variable among its properties": (
        None,
        {"CARDIOSENTRY_KAFKA": "a=b", "CARDIOSENTRY_KAFKA_LINGER_MS": "5"},
        {},
        ["environment", "setting kafka"],
    ),
    "a list for a property": ("[kafka]\na.b = [1]", {}, {}, [FILE, "setting kafka.a.b", "got `list`"]),
    "a date for a property": ("[kafka]\na = 2026-01-01", {}, {}, [FILE, "setting kafka.a", "got `date`"]),
    "no TOML": ("workers = = 1", {}, {}, [FILE, "expected TOML, got a syntax error", "line 1"]),
    "a setting twice": ("workers = 1\nworkers = 2", {}, {}, [FILE, "expected TOML"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_in_a_sentence_that_names_source_and_setting(name: str) -> None:
    file, environ, options, says = REFUSED[name]
    with pytest.raises(UserError) as caught:
        load(file, environ, **options)
    said = str(caught.value)
    assert "\n" not in said
    for words in says:
        assert words in said


RESERVED = {
    "bootstrap.servers": "the setting bootstrap",
    "group.id": "the setting group",
    "transactional.id": "the setting instance",
    "enable.idempotence": "CardioSentry",
    "acks": "CardioSentry",
    "isolation.level": "CardioSentry",
    "enable.auto.commit": "CardioSentry",
    "partition.assignment.strategy": "CardioSentry",
    "error_cb": "it takes a function",
}


# In the environment an underscore means a dot, so error_cb cannot be said there.
@pytest.mark.parametrize(
    ("source", "name"),
    [(s, n) for s in (FILE, "environment", "options") for n in RESERVED if s != "environment" or "_" not in n],
)
def test_no_source_can_pass_through_what_the_guarantees_rest_on(source: str, name: str) -> None:
    file = f'[kafka]\n"{name}" = "x"' if source == FILE else None
    environ = {f"CARDIOSENTRY_KAFKA_{name.upper().replace('.', '_')}": "x"} if source == "environment" else {}
    options = {"kafka": {name: "x"}} if source == "options" else {}
    with pytest.raises(UserError, match=f"^{source}: librdkafka property {name}: expected it to be left to") as caught:
        load(file, environ, **options)
    assert RESERVED[name] in str(caught.value)


def test_a_file_without_a_name_is_still_named() -> None:
    with pytest.raises(UserError, match=r"^configuration file: expected TOML"):
        load_settings("=", {}, {})


def test_other_programs_variables_and_the_files_own_are_nothing_to_us() -> None:
    assert load(None, {"PATH": "/bin", "CARDIOSENTRY_CONFIG": "x.toml", "XCARDIOSENTRY_NOPE": "1"}) == Settings()


# librdkafka 2.12, CONFIGURATION.md: every property that holds a secret itself, not the place of one.
SECRET_PROPERTIES = [
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.username",
    "sasl.password",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
]


@pytest.mark.parametrize("name", [*SECRET_PROPERTIES, "SASL.Password", "sasl.jaas.config"])
def test_a_secret_is_never_shown(name: str) -> None:
    shown = masked(load(kafka={name: "hunter2", "client.id": "me"}))
    assert shown["kafka"] == {name: "***", "client.id": "me"}
    assert "hunter2" not in repr(shown)


def test_what_is_no_secret_is_shown_as_it_is() -> None:
    settings = load("workers = 3", kafka={"security.protocol": "SSL", "ssl.key.location": "k.pem", "client.id": "x"})
    assert masked(settings) == msgspec.structs.asdict(settings)


def test_every_setting_says_what_it_does() -> None:
    described = describe()
    assert list(described) == list(Settings.__struct_fields__)
    assert all(described.values())


@pytest.mark.parametrize("given", ["http://ada:lovelace@gateway", "two words", "ftp//x y"])
def test_an_address_with_a_password_or_none_at_all_is_refused_without_being_repeated(given: str) -> None:
    with pytest.raises(UserError, match="setting pushgateway: expected host:port") as refused:
        load(pushgateway=given)
    assert given not in str(refused.value)


def test_a_password_of_a_file_goes_where_librdkafka_looks_and_is_not_shown() -> None:
    settings = with_password(load('sasl_password_file = "p"', kafka={"sasl.mechanism": "PLAIN"}), "hunter2\r\n")
    assert settings.kafka == {"sasl.mechanism": "PLAIN", "sasl.password": "hunter2"}
    assert "hunter2" not in repr(masked(settings))


PASSWORDS = {
    "none": ("", {}, "p: expected a password on one line, got 0 lines"),
    "an empty line": ("\n", {}, "p: expected a password on one line, got 0 lines"),
    "two lines": ("hunter2\nhunter3\n", {}, "p: expected a password on one line, got 2 lines"),
    "one in the properties too": (
        "hunter2",
        {"sasl.password": "hunter3"},
        "setting sasl_password_file: expected it or",
    ),
}


@pytest.mark.parametrize("name", PASSWORDS)
def test_a_file_that_holds_no_password_is_refused_without_showing_what_it_holds(name: str) -> None:
    text, kafka, says = PASSWORDS[name]
    with pytest.raises(UserError) as caught:
        with_password(load('sasl_password_file = "p"', kafka=kafka), text)
    assert str(caught.value).startswith(says)
    assert "hunter" not in str(caught.value)
