"""How few people share what is known of each: k-anonymity over quasi-identifiers.

Sweeney, k-anonymity: a model for protecting privacy, 2002; the risk that it bounds is the prosecutor's, 1/k.
"""

from collections.abc import Sequence

import pandas as pd


def small_cells(frame: pd.DataFrame, columns: Sequence[str], small: int) -> dict[str, int | float]:
    """Return the size of the smallest cell, how many rows are alone in theirs, and the share in cells below `small`.

    A cell is all rows with the same values in `columns`; missing is a value. An empty frame has cells of 0.

    >>> small_cells(pd.DataFrame({"age": [50, 50, 61], "sex": [1, 1, 0]}), ["age", "sex"], 3)
    {'smallest_cell': 1, 'rows_alone': 1, 'share_in_small_cells': 1.0}
    """
    if frame.empty or not columns:
        return {"smallest_cell": len(frame), "rows_alone": 0, "share_in_small_cells": 0.0}
    sizes = frame.groupby(list(columns), dropna=False, observed=True, sort=False).size()
    return {
        "smallest_cell": int(sizes.min()),
        "rows_alone": int((sizes == 1).sum()),
        "share_in_small_cells": round(float(sizes[sizes < small].sum() / len(frame)), 4),
    }
