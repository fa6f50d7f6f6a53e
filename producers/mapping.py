"""A column mapping: which column of a CSV file is which feature. `uci_mapping.toml` is the documented example."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from contracts.errors import UserError
from contracts.features import FeatureTable
from contracts.identifiers import is_source

UCI_MAPPING = Path(__file__).parent / "uci_mapping.toml"


class FeatureColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column of a feature; `codes` says what each label in it means, without it cells are numbers."""

    column: str
    codes: dict[str, float] | None = None


class SourceColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The source of every row (`constant`), or the column that tells and the source of each label in it."""

    constant: str | None = None
    column: str | None = None
    labels: dict[str, str] = {}

    def __post_init__(self) -> None:
        if (self.constant is None) == (self.column is None):
            raise ValueError("expected either `constant` or `column`")
        if (self.column is None) != (not self.labels):
            raise ValueError("expected `labels` with `column`, and not without it")
        for source in (self.constant, *self.labels.values()):
            if source is not None and not is_source(source):
                raise ValueError(f"expected a source of the form site/ward/device in lower case, got {source!r}")


class OutcomeColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column of the diagnosis: a number from `positive_from` on means disease."""

    column: str
    positive_from: float = 1


class CsvMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a CSV file's header does not say; see `uci_mapping.toml` for what each means."""

    record_number: str
    record_prefix: str = ""
    missing: tuple[str, ...] = ("",)
    absent: tuple[str, ...] = ()
    delimiter: Annotated[str, msgspec.Meta(pattern=r"^[,;|\t]$")] = ","
    observed_at: str | None = None
    source: SourceColumn
    outcome: OutcomeColumn | None = None
    features: dict[str, FeatureColumn]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a file must have."""
        named = (
            self.record_number,
            self.observed_at,
            self.source.column,
            self.outcome.column if self.outcome else None,
            *(feature.column for feature in self.features.values()),
        )
        return tuple(dict.fromkeys(name for name in named if name is not None))


def load_mapping(path: Path, table: FeatureTable) -> CsvMapping:
    """Read a mapping file and check it against `table`; raises `UserError` that names the file and the entry."""
    try:
        mapping = msgspec.convert(tomllib.loads(path.read_text("utf-8")), CsvMapping)
    except OSError as error:
        raise UserError(f"{path}: expected a mapping file that can be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: expected TOML, got a syntax error: {error}") from None
    except msgspec.ValidationError as error:
        text = str(error)
        raise UserError(f"{path}: {text[0].lower()}{text[1:]}") from None
    _check_features(path, mapping, table)
    return mapping


def _check_features(path: Path, mapping: CsvMapping, table: FeatureTable) -> None:
    for name in (*mapping.features, *mapping.absent):
        if name not in table.names:
            raise UserError(f"{path}: expected features of table {table.name} ({', '.join(table.names)}), got {name!r}")
    for feature in table.features:
        if (feature.name in mapping.features) == (feature.name in mapping.absent):
            raise UserError(f"{path}: expected feature {feature.name} either as a table of `features` or in `absent`")
        codes = mapping.features[feature.name].codes if feature.name in mapping.features else None
        if codes is None:
            continue
        valid = {float(code) for code in feature.codes or ()}
        for label, code in codes.items():
            if code not in valid:
                expected = ", ".join(feature.codes) if feature.codes else "no codes, for its values are numbers"
                raise UserError(f"{path}: features.{feature.name}.codes: expected {expected}; got {label!r} = {code:g}")
