"""The policy: every threshold of the pipeline and which tools it requires, in one commented TOML file."""

from importlib.resources import files
from pathlib import Path

import msgspec

from contracts.errors import UserError
from models.pipeline.attacks.suite import AttackPolicy
from models.pipeline.collect import CollectPolicy
from models.pipeline.compliance.policy import CompliancePolicy
from models.pipeline.evaluation import EvaluationPolicy
from models.pipeline.scanners.policy import SecurityPolicy
from models.pipeline.training import TrainingPolicy
from models.pipeline.triggers import TriggerPolicy

_SECTIONS = ("collect", "security", "compliance", "training", "evaluation", "attacks", "triggers")


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All sections; policy/*.toml say what each field is for and why its default is what it is."""

    collect: CollectPolicy = CollectPolicy()
    security: SecurityPolicy = SecurityPolicy()
    compliance: CompliancePolicy = CompliancePolicy()
    training: TrainingPolicy = TrainingPolicy()
    evaluation: EvaluationPolicy = EvaluationPolicy()
    attacks: AttackPolicy = AttackPolicy()
    triggers: TriggerPolicy = TriggerPolicy()


def default_text() -> str:
    """Return the policy that comes with the program, comments and all."""
    return "\n".join(files(__package__).joinpath(f"policy/{section}.toml").read_text("utf-8") for section in _SECTIONS)


def read_policy(path: Path | None) -> tuple[str, Policy]:
    """Return the policy in a file, or the one that comes with the program, as its text and as what that says.

    Raises `UserError` that names the file and what was expected there.
    """
    try:
        text = default_text() if path is None else path.read_text("utf-8")
        return text, decode_policy(text)
    except OSError as error:
        raise UserError(f"{path}: expected a policy of the pipeline: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, not TOML, not of this form
        raise UserError(f"{path or 'policy'}: expected a policy of the pipeline: {error}") from None


def decode_policy(text: str) -> Policy:
    """Return what a policy's text says; raises `ValueError` for what is none."""
    return msgspec.toml.decode(text, type=Policy)
