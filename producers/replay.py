"""The 920 patients of the UCI heart-disease data as events, their diagnoses as outcomes some time later."""

from pathlib import Path

from producers.csv_source import CsvSource
from producers.mapping import UCI_MAPPING

UCI_CSV = Path(__file__).parent.parent / "models" / "heart_disease_uci.csv"


def replay(
    *, pseudonym_key: bytes, path: Path = UCI_CSV, outcome_delay_s: float | None = 5.0, seed: int | None = None
) -> CsvSource:
    """Return the UCI patients, of `uci/cleveland`, `uci/hungary`, `uci/switzerland` and `uci/long-beach`.

    The arguments are those of `CsvSource`. Disguised zeros are null, labels are the original codes.
    """
    return CsvSource(path, UCI_MAPPING, pseudonym_key=pseudonym_key, outcome_delay_s=outcome_delay_s, seed=seed)
