"""Options that set settings: one for each field of `Settings`, with its own description."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from contracts.errors import UserError
from contracts.identifiers import is_source
from contracts.releases import TEXT_CHARS
from contracts.settings import Settings, describe, is_secret
from stream_app.configuration import read_settings


class TextOf(click.ParamType):
    """A text of at least `least` and at most `most` characters, as the statement that it is signed in wants it."""

    name = "text"

    def __init__(self, most: int, least: int = 1) -> None:
        self._most, self._least = most, least

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._least <= len(value) <= self._most:
            self.fail(f"expected {self._least} to {self._most} characters, got {len(value)}", param, ctx)
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail("expected UTF-8, got something else", param, ctx)
        return value


_BOOLEAN = {"require_mac"}


POLICY_OPTION = click.option(
    "--policy", "policy_file", type=click.Path(path_type=Path), metavar="TOML", help="[the one that comes with it]"
)


def setting_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of these settings, `--config` and `-X`; it gets one argument, `settings`."""
    descriptions = describe()

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def with_settings(config: Path | None, properties: tuple[str, ...], **arguments: Any) -> Any:
            options: dict[str, Any] = {name: arguments.pop(name) for name in names}
            options["kafka"] = dict(map(_property, properties))
            read_settings(config)  # what is wrong here is wrong in a file or the environment
            try:
                settings = read_settings(config, options)
            except UserError as error:
                raise click.UsageError(str(error)) from None
            return command(settings=settings, **arguments)

        with_settings.__doc__ = command.__doc__
        with_settings.__name__ = command.__name__
        with_settings.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
        wrapped: Callable[..., Any] = with_settings
        if "bootstrap" in names:
            wrapped = click.option(
                "-X", "properties", multiple=True, metavar="PROP=VALUE", help="A librdkafka property."
            )(wrapped)
        else:
            wrapped = click.option("-X", "properties", multiple=True, hidden=True)(wrapped)
        for name in reversed(names):
            flag = "--" + name.replace("_", "-")
            text = descriptions[name][0].upper() + descriptions[name][1:] + "."
            if name in _BOOLEAN:
                wrapped = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)(wrapped)
            else:
                wrapped = click.option(flag, name, metavar=name.split("_")[-1].upper(), help=text)(wrapped)
        return click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="TOML file of settings [CARDIOSENTRY_CONFIG].",
        )(wrapped)

    return decorate


ALL_SETTINGS = tuple(name for name in Settings.__struct_fields__ if name != "kafka")
NOTIFY_SETTINGS = ("alertmanager", "alertmanager_login", "notify_interval_s", "runbooks", "alert_page")
CONSOLE_SETTINGS = ("console_host", "console_port")
SHIP_SETTINGS = ("elastic", "elastic_ca", "kibana", "kibana_ca")
_OTHERS_SETTINGS = {
    *NOTIFY_SETTINGS,
    *CONSOLE_SETTINGS,
    *SHIP_SETTINGS,
    "pushgateway",
    "metrics_port",
    "beat",
}  # no worker's
WORKER_SETTINGS = tuple(name for name in ALL_SETTINGS if name not in _OTHERS_SETTINGS)


def checked_source(text: str) -> str:
    """Return what was given as a source, if it is the name of one."""
    if not is_source(text):
        raise click.BadParameter(f"expected a source like site/ward/device in lower case, got {text!r}")
    return text


def _property(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise click.UsageError("option -X: expected PROP=VALUE, got something else")
    if is_secret(name) and name.lower() != "sasl.username":  # whoever is on this host can read a command's arguments
        raise click.UsageError(
            f"option -X: expected {name} in the settings file or the environment, got it in an option"
        )
    return name, value


SOURCES_OPTION = click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="SOURCE",
    default=("uci", "synthetic"),
    show_default=True,
    help="A source that publishes, site/ward/device; its key covers everything below it. Repeat it.",
)
SIGNER_OPTION = click.option(
    "--signer",
    type=TextOf(TEXT_CHARS, least=0),
    metavar="NAME",
    default="",
    help="Who holds the signing key [whoever is logged in].",
)
SOURCE_OPTION = click.option(
    "--source",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default="here",
    help="Directory of code, locks and notebooks for the scanners.",
)
RUNS_OPTION = click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs lie."
)
KEY_OPTION = click.option(
    "--key", type=click.Path(path_type=Path), metavar="PEM", help="The signing key [the one in --keys]."
)
REASON_OPTION = click.option(
    "--reason",
    type=TextOf(TEXT_CHARS),
    required=True,
    metavar="TEXT",
    help="Why, for whoever reads it at night; it is signed.",
)
DAYS_OPTION = click.option(
    "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it may be loaded."
)
