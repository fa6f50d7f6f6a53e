"""What an examination found: which rule, in which column, in which rows. Never what stands there."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.pipeline.compliance.policy import Category

Column: TypeAlias = "pd.Series[Any]"

Rows = npt.NDArray[np.intp]
"""Positions of rows in the snapshot, from 0, ascending, shape (n,)."""

Remedy = Literal[
    "mask", "empty", "remove column", "drop rows", "to the week", "to the year", "to 90", "renumber", "repair", "none"
]


@dataclass(frozen=True)
class Hit:
    """One rule's finding in one column (the position of it, from 0; None where it is about whole rows).

    `title` completes "a cell holds ...". `category` is "undeclared" for a column that serves no declared purpose.
    """

    rule: str
    category: Category | Literal["undeclared"]
    title: str
    column: int | None
    rows: Rows
    remedy: Remedy
