"""How much of what is planted compliance finds, and how much of what it finds was planted, by category.

Rows of synthetic patients with a free-text column; in each of some rows one thing of one category, in the others
clinical notes that only look like one. Counted by row and category; the same again with notes that the rules were not
made for. Then columns that nobody declared, and the small cells of the UCI table.

`python -m benchmarks.compliance_planted`
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from faker import Faker
from rich.console import Console
from rich.table import Table

from benchmarks.compliance_notes import CLINICAL, HELD_OUT, HELD_OUT_CLINICAL, NO_FORM, NOTES, filled
from benchmarks.options import parser
from benchmarks.report import WIDTH, context, write_json
from contracts.heart_disease import HEART_DISEASE
from models.dataset import load_dataset
from models.pipeline.compliance.examine import examine
from models.pipeline.compliance.policy import CompliancePolicy
from models.pipeline.compliance.small_cells import small_cells

_LOCALES = {"US": "en_US", "GB": "en_GB", "DE": "de_DE", "CH": "de_CH"}
_COLUMNS: dict[str, tuple[str, ...]] = {  # headings that tell, by category
    "pii": ("PatientName", "email", "home_phone", "ssn", "street", "postcode"),
    "sensitive": ("iban", "salary", "gps_lat", "criminal_history"),
    "confidential": ("unit_price", "supplier", "contract_no", "gross_margin", "api_key"),
    "restricted": ("date_of_birth", "admission_date", "mrn", "member_id", "device_serial", "photo"),
    "special": ("religion", "ethnicity", "trade_union", "hiv", "sexual_orientation", "genotype"),
}


@dataclass(frozen=True)
class Planted:
    """A snapshot, and by row the category of what is planted there, "" for nothing."""

    frame: pd.DataFrame
    truth: tuple[str, ...]


class Score(msgspec.Struct, frozen=True):
    """Counts of (row, category): planted and found, planted, found."""

    both: int
    planted: int
    found: int

    @property
    def recall(self) -> float | None:
        return self.both / self.planted if self.planted else None

    @property
    def precision(self) -> float | None:
        return self.both / self.found if self.found else None


def policy() -> CompliancePolicy:
    """Return the policy that ships, with a free-text column `note` declared."""
    shipped = CompliancePolicy()
    return msgspec.structs.replace(shipped, columns={**shipped.columns, "note": "text"})


def patients(count: int, seed: int) -> pd.DataFrame:
    """Return `count` rows of made-up patients inside every usual range, with numbers as ids and an empty note."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"row_id": [str(number) for number in range(1, count + 1)]})
    frame["site"] = draw.choice(["Cleveland", "Hungary", "Zürich", "VA Long Beach"], count)
    frame["observed_on"] = [date(2026, 1, 5) + timedelta(weeks=week) for week in draw.integers(0, 40, count).tolist()]
    frame["group"] = [draw.bytes(16).hex() for _ in range(count)]
    for feature in HEART_DISEASE.features:
        codes = [float(code) for code in feature.codes or ()]
        frame[feature.name] = draw.choice(codes, count) if codes else np.round(draw.uniform(*feature.usual, count), 1)
    frame["age"] = draw.integers(29, 90, count).astype(np.float64)  # 89 among them
    frame["diagnosis"] = draw.integers(0, 2, count)
    frame["note"] = None
    return frame.astype({"note": object})


def plant(times: int, seed: int, *, held_out: bool = False) -> Planted:
    """Return a snapshot with each note and each clinical note `times` times.

    With `held_out` the notes that the rules were not made for; without, also each corruption of a row.
    """
    seeded = random.Random(seed)
    fake = {region: Faker(locale) for region, locale in _LOCALES.items()}
    for number, each in enumerate(fake.values()):
        each.seed_instance(seed + number)
    texts = [
        (category, text) for notes in (HELD_OUT,) if held_out for category, those in notes.items() for text in those
    ]
    texts += [
        (category, text)
        for notes in (NOTES, NO_FORM)
        if not held_out
        for category, those in notes.items()
        for text in those
    ]
    texts += [("", text) for text in (HELD_OUT_CLINICAL if held_out else CLINICAL)]
    notes = [(category, filled(text, fake, seeded)) for _ in range(times) for category, text in texts]
    seeded.shuffle(notes)
    truth = [category for category, _ in notes]
    frame = patients(len(notes), seed).assign(note=[text for _, text in notes])
    return Planted(frame, tuple(truth)) if held_out else _corrupted(frame, truth, times, seed)


def _corrupted(frame: pd.DataFrame, truth: list[str], times: int, seed: int) -> Planted:
    """Return the rows of `frame` and, after them, `times` rows with each thing that is wrong with a row."""
    wrong = patients(times * (len(_CORRUPTIONS) + 2) + 1, seed + 1).astype(object)
    kinds: list[str] = []
    for column, value in _CORRUPTIONS * times:
        wrong.loc[len(kinds), column] = value
        kinds.append("quality")
    for number in range(times):
        wrong.loc[len(kinds), "age"] = 93.0
        wrong.loc[len(kinds) + 1, "row_id"] = f"H-4471-93{number}"
        kinds += ["restricted"] * 2
    kinds.append("")  # the last row, repeated under other ids
    rows = pd.concat([frame.astype(object), wrong, wrong.iloc[[-1] * times]], ignore_index=True)
    kinds += ["quality"] * times
    given = [*frame.row_id, *wrong.row_id, *[""] * times]
    ids = [text if text.startswith("H-") else str(number + 1) for number, text in enumerate(given)]
    return Planted(rows.assign(row_id=ids), (*truth, *kinds))


_CORRUPTIONS: tuple[tuple[Any, Any], ...] = (
    ("chol", "high"),
    ("chol", 12_000.0),
    ("trestbps", -120.0),
    ("sex", 7.0),
    ("diagnosis", "yes"),
    ("site", None),
    (["cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang"], None),
    ("note", "Patientin mit BelastungsdyspnÃ¶e"),
    ("note", "pain \ufffd\ufffd radiating"),
)


def score(planted: Planted) -> dict[str, Score]:
    """Return by category how what is found compares with what was planted."""
    hits = examine(planted.frame, policy(), HEART_DISEASE)
    found = {(int(row), hit.category) for hit in hits for row in hit.rows}
    truth = {(row, category) for row, category in enumerate(planted.truth) if category}
    return {
        category: Score(
            both=len({pair for pair in truth & found if pair[1] == category}),
            planted=len({pair for pair in truth if pair[1] == category}),
            found=len({pair for pair in found if pair[1] == category}),
        )
        for category in (*NOTES, "quality")
    }


def columns_found(seed: int) -> tuple[int, int, int]:
    """Return how many headings are put into their category, how many there were, how many are refused."""
    right = refused = planted = 0
    for category, headings in _COLUMNS.items():
        for heading in headings:
            frame = patients(50, seed).assign(**{heading: np.arange(50) % 3})
            place = list(frame.columns).index(heading)
            categories = {hit.category for hit in examine(frame, policy(), HEART_DISEASE) if hit.column == place}
            planted += 1
            right += category in categories
            refused += "undeclared" in categories
    return right, planted, refused


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, "python -m benchmarks.compliance_planted --times 2", broker=False)
    options.add_argument("--times", type=int, default=5, help="how often each note is planted")
    options.add_argument("--seed", type=int, default=20)
    chosen = options.parse_args(arguments)
    scores = score(plant(chosen.times, chosen.seed))
    held_out = score(plant(chosen.times, chosen.seed, held_out=True))
    right, columns, refused = columns_found(chosen.seed)
    data = load_dataset()
    uci = pd.DataFrame(data.x, columns=list(HEART_DISEASE.names)).assign(site=data.site)
    cells = {
        "age, sex, site": small_cells(uci, ["age", "sex", "site"], 5),
        "age by 10 years, sex, site": small_cells(uci.assign(age=uci.age // 10), ["age", "sex", "site"], 5),
        "age by 10 years, sex": small_cells(uci.assign(age=uci.age // 10), ["age", "sex"], 5),
    }
    table = Table(title=f"each note {chosen.times} times, seed {chosen.seed}")
    for heading in ("category", "planted", "recall", "precision", "held out", "recall", "precision"):
        table.add_column(heading)
    for category, each in scores.items():
        other = held_out[category]
        figures = (each.planted, each.recall, each.precision, other.planted, other.recall, other.precision)
        table.add_row(category, *map(_text, figures))
    console = Console(width=WIDTH)
    console.print(table)
    console.print(f"columns: {right} of {columns} in their category by heading, {refused} refused as undeclared")
    for name, cell in cells.items():
        console.print(name, cell)
    path = write_json(
        chosen.results,
        "compliance_planted",
        {
            **context(None),
            "seed": chosen.seed,
            "scores": {name: msgspec.to_builtins(each) for name, each in scores.items()},
            "held_out": {name: msgspec.to_builtins(each) for name, each in held_out.items()},
            "columns": {"right": right, "planted": columns, "undeclared": refused},
            "uci_small_cells": cells,
        },
    )
    console.print(f"[dim]{path}[/dim]")


def _text(figure: float | None) -> str:
    return "-" if figure is None else str(figure) if isinstance(figure, int) else f"{figure:.2f}"


if __name__ == "__main__":
    main()
