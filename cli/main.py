"""The command `cardiosentry`: its groups, and how failures are told.

A failure of the user's (`UserError`) is one sentence on standard error and exit code 1; wrong usage is 2. Commands
import what they need when they run, so that `--help` is quick and a worker stays small.
"""

import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import click

from contracts.errors import UserError
from contracts.refusals import said

# command (a module of cli with the same name): its line in --help
_COMMANDS = {
    "demo": "Score real and synthetic patients on an embedded broker, live.",
    "broker": "Run the embedded broker in the foreground.",
    "topics": "Create the topics, and say who may use them.",
    "produce": "Publish patient events.",
    "serve": "Run workers that score patient events.",
    "notify": "Hand alerts to Alertmanager, and say that the watching lives.",
    "console": "Show the stream, drift, alerts and models on a page.",
    "ship": "Ship what is written to Elasticsearch.",
    "kibana": "Bring the dashboard and detection rules into Kibana.",
    "tail": "Print the records of a topic as they come.",
    "keys": "Make keys.",
    "train": "Train, export and sign a model.",
    "retrain": "Make a better model from live outcomes, through every gate.",
    "triggers": "Retrain by itself: on a timer, on outcomes, on drift, on commits.",
    "sign": "Vouch for a CSV file to train on.",
    "rescan": "Scan again what is live.",
    "verify": "Verify a signed model.",
    "provenance": "Show and verify where a model comes from.",
    "release": "Let a signed model score: announce it to the workers.",
    "approve": "Sign what waits for further signers.",
    "rollback": "Let an earlier model score again.",
    "revoke": "Take a model away from every worker, for ever.",
    "incidents": "Review incidents: list, show, acknowledge, close, export.",
    "contain": "Contain an incident: block a source, revoke its key, freeze retraining.",
    "baseline": "Measure drift against this hospital's own patients.",
    "models": "Say which models are live, since when and by whom.",
    "trust": "Say who may release what, and change it.",
    "card": "Write the model card.",
    "quarantine": "Open quarantined records with the reviewers' private key.",
    "settings": "Show the settings in force, secrets masked.",
    "health": "Ask whether processes on this host are well.",
}


class _Lazy(click.Group):
    """Loads a command's module when it is called for."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"cli.{cmd_name}").command
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, epilog="Example: cardiosentry demo")
@click.version_option(package_name="cardiosentry")
def cardiosentry() -> None:
    """Streaming inference and security monitoring for a heart-disease model on Kafka."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command."""
    told(partial(cardiosentry.main, args=arguments, prog_name="cardiosentry"))


def told(call: Callable[[], object]) -> None:
    """Call, and tell what fails in one sentence before the process ends."""
    try:
        call()
    except UserError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        extras = "train,plots,operate,scan"
        _fail(f"this command needs the package {error.name}: install cardiosentry[{extras}], or run `make dev`")
    except OSError as error:
        _fail(f"{error.filename or 'system'}: {error.strerror}")
    except Exception as error:
        if type(error).__name__ != "KafkaException":  # by name: commands without a broker do not load its client
            raise
        _fail(f"Kafka: {said(error.args[0].name(), error.args[0].str())}")


def _fail(text: str) -> NoReturn:
    click.echo(f"error: {text}", err=True)
    sys.exit(1)
