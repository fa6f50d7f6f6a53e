"""The candidate in parts of the held-out rows: each site, each sex, bands of age."""

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.features import FeatureTable
from models.fit import Vector
from models.metrics import figures, resample_patients, summarise
from models.pipeline.check import Check, Finding
from models.pipeline.judge import judge, rounded
from models.pipeline.rows import Rows

_Mask = npt.NDArray[np.bool_]
_BOUNDS = (0, 50, 60, 200)
_BANDS = ("under 50", "50 to 59", "60 and over")


class SubgroupPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What no part of the patients may fall below."""

    least_recall: float = 0.80
    least_auc: float = 0.65
    least_of_each: int = 15


def subgroup_check(
    rows: Rows, probability: Vector, positive: _Mask, table: FeatureTable, policy: SubgroupPolicy, seed: int
) -> tuple[Check, dict[str, str]]:
    """Return the check that no part is surely worse than the limits, and the figures of each part by name.

    A part is surely worse when its whole interval lies below. One with fewer than `least_of_each` ill (for recall) or
    also healthy patients (for AUC) says nothing either way: it is said to be too small, which is no failure.
    """
    worse: list[Finding] = []
    shown: dict[str, str] = {}
    for name, mask in _parts(rows, table):
        y = rows.y[mask]
        ill, well = int(y.sum()), int((1 - y).sum())
        counts = resample_patients(y, rows.group[mask], seed)
        found = figures(counts, y, probability[mask], positive[mask])
        texts = [f"{len(y)} rows, {ill} ill"]
        for figure, enough, limit in (
            ("recall", ill >= policy.least_of_each, policy.least_recall),
            ("auc", min(ill, well) >= policy.least_of_each, policy.least_auc),
        ):
            if not enough:
                texts.append(f"{figure}: too small to say")
                continue
            interval = summarise(found[figure])
            texts.append(f"{figure} {interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})")
            if interval.high < limit:
                what = f"{figure} {rounded(interval.value)}, at most {rounded(interval.high)}, limit {limit:g}"
                worse.append(Finding(id=f"subgroup:{figure}", where=name, what=what))
        shown[name] = "; ".join(texts)
    check = judge(
        "no part of the patients is left behind",
        not worse,
        found=f"{len(worse)} of {len(shown)} parts surely below a limit",
        limit=f"recall at least {policy.least_recall:g}, AUC at least {policy.least_auc:g} in each part",
        advice="Look at what is measured differently for these patients; a threshold of their own may be needed.",
        reference="Regulation (EU) 2024/1689, article 10(2)(f): examination in view of possible biases",
        findings=tuple(worse),
    )
    return check, shown


def _parts(rows: Rows, table: FeatureTable) -> Iterator[tuple[str, _Mask]]:
    """Yield the parts by name; those of sex and age only where the model reads them."""
    for site in sorted(set(rows.site.tolist())):
        yield f"site {site}", rows.site == site
    features = {feature.name: (rows.x[:, at], feature) for at, feature in enumerate(table.features)}
    if "sex" in features:
        values, feature = features["sex"]
        for code, title in (feature.codes or {}).items():
            if (mask := values == float(code)).any():
                yield f"sex {title}", mask
    if "age" in features:
        values = features["age"][0]
        for title, low, high in zip(_BANDS, _BOUNDS, _BOUNDS[1:], strict=False):
            if (mask := (values >= low) & (values < high)).any():
                yield f"age {title}", mask
