"""Rows of the held-out part that training has seen: the same, or so alike that they may be the same patient."""

import numpy as np

from models.pipeline.check import Check, Finding
from models.pipeline.judge import judge
from models.pipeline.rows import Index, Rows, near_duplicates, row_digests


def leaks(train: Rows, held_out: Rows) -> dict[str, Index]:
    """Return the positions in `held_out` of what is in `train` too, by how: same patient, same row, near-duplicate.

    A near-duplicate is equal in all features but one.
    """
    seen = set(row_digests(train.x))
    same = [row for row, digest in enumerate(row_digests(held_out.x)) if digest in seen]
    near: set[int] = set()
    for alike in near_duplicates(np.concatenate([train.x, held_out.x])):
        if alike.min() < len(train):
            near.update((alike[alike >= len(train)] - len(train)).tolist())
    return {
        "same patient": np.flatnonzero(np.isin(held_out.group, train.group)),
        "same row": np.array(same, dtype=np.int64),
        "near-duplicate": np.array(sorted(near - set(same)), dtype=np.int64),
    }


def leak_check(train: Rows, held_out: Rows) -> Check:
    """Return the check that no figure of the held-out part comes from what training saw."""
    found = leaks(train, held_out)
    leaked = sum(map(len, found.values()))
    return judge(
        "nothing held out was learnt from",
        leaked == 0,
        found=", ".join(f"{len(rows)} of {kind}" for kind, rows in found.items()) + f", in {len(held_out)} rows",
        limit="none",
        advice="Leave these rows out of training and train again: no figure below can be believed.",
        reference="Kapoor and Narayanan, Leakage and the reproducibility crisis, Patterns 4:100804, 2023",
        findings=tuple(
            Finding(id=f"leak:{kind.replace(' ', '-')}", where=f"held-out row {row}", what=f"{kind} as in training")
            for kind, rows in found.items()
            for row in rows.tolist()
        ),
    )
