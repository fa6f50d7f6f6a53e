"""What the security checks of Gate 1 demand: which scanners, from which severity on, and who waived what until when."""

from datetime import date
from typing import Annotated, Literal

import msgspec

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")

Said = Annotated[str, msgspec.Meta(min_length=3)]


class Waiver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A person takes findings of one `id` upon herself, `until` a day (included), in the files that `where` matches."""

    id: Said
    by: Said
    reason: Said
    until: date
    where: str = "*"


class SecurityPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `security` of the pipeline's policy; policy/security.toml says what each means."""

    required: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (
        "gitleaks",
        "gitleaks-history",
        "osv-scanner",
        "pip-audit",
        "bandit",
        "notebooks",
        "libraries",
        "modelscan",
        "artefacts",
    )
    fail_at: Severity = "medium"
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    tools: str = ".cache/tools"
    skip: tuple[str, ...] = (
        *(".git", ".venv", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
        *("__pycache__", "*.egg-info"),
    )
    locks: tuple[str, ...] = ("requirements*.lock",)
    libraries: tuple[str, ...] = ()
    osv_database: str = ""
    osv_database_days: Annotated[float, msgspec.Meta(gt=0)] = 7.0
    osv_url: str = ""
    artefact_formats: tuple[str, ...] = (".onnx", ".json", ".sig", ".csv", ".toml", ".txt", ".md")
    waivers: tuple[Waiver, ...] = ()
