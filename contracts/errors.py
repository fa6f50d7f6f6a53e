"""Errors say who acts on them.

| error | who acts |
|---|---|
| `InvalidRecord` | the record goes to quarantine, the others go on |
| `RetryableError` | the worker aborts, goes back to the last commit and tries again |
| `ModelRejected` | the old model stays; with none, the process ends |
| `UserError` | the person: its text is the one sentence that the command prints |

Anything else is a defect: it crashes the process, and the supervisor starts it again.
"""

from contracts.reasons import Reason


class CardioSentryError(Exception):
    """Base of every error that CardioSentry raises on purpose."""


class InvalidRecord(CardioSentryError):
    """A record that cannot be used.

    `detail` says what was expected and what came, in words that cannot hold a patient's data: field paths and type
    names, never values or unknown field names.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class RetryableError(CardioSentryError):
    """The work can be done again from the last commit."""


class UserError(CardioSentryError):
    """A wrong file, setting or argument; the text names it, says what was expected and what to do."""


class ModelRejected(UserError):
    """A bundle that failed a check; the text names the file and what was expected."""
