"""Made-up reference statistics: of the right form, and of nobody."""

from contracts.features import FeatureTable
from contracts.heart_disease import HEART_DISEASE
from contracts.reference import (
    ALL,
    FEATURES,
    JOINT,
    LIKENESS_GRID,
    MISSING,
    OUTCOME_STATISTICS,
    PERFORMANCE,
    SCORE,
    WINDOW_GRID,
    Column,
    Likeness,
    Null,
    OutcomeReference,
    ReferenceStatistics,
)

_SPACINGS = (20.0, 200.0, 2000.0)


def made_up_reference(table: FeatureTable = HEART_DISEASE, *, population: int = 5000) -> ReferenceStatistics:
    """Return statistics under which half of all values lie in the lower half of their range."""
    measured = [(feature.name, *feature.hard) for feature in table.features]
    columns = tuple(
        Column(name=name, coded=False, low=low, high=high, step=(high - low) / 100, edges=(at,), shares=(0.5, 0.5, 0.0))
        for name, low, high in (*measured, (SCORE, 0.0, 1.0), (MISSING, 0.0, float(len(measured))))
        for at in ((low + high) / 2,)
    )
    pairs = len(measured) * (len(measured) - 1) // 2
    sizes = len(WINDOW_GRID)
    null = Null(mean=(1.0,) * sizes, sd=(0.3,) * sizes, thresholds=(2.0, 3.0, 4.0))
    names = (*(column.name for column in columns), FEATURES, JOINT, PERFORMANCE)
    all_ = Null(mean=(), sd=(), thresholds=null.thresholds)
    outcomes = OutcomeReference(
        positive=(0.2, 0.8),
        error_positive=(0.5, 0.1),
        error_negative=(0.1, 0.5),
        flagged=1,
        nulls={**dict.fromkeys(OUTCOME_STATISTICS, null), ALL: all_},
    )
    width = len(measured)
    likeness = Likeness(
        mean=(0.0,) * width,
        sd=(1.0,) * width,
        whitening=((1.0,) * width,) * width,
        distances=tuple(float(at + 1) for at in range(len(LIKENESS_GRID))),
    )
    return ReferenceStatistics(
        window_events=20,
        population=population,
        columns=columns,
        products=(0.0,) * pairs,
        product_sd=(200.0,) * pairs,
        spacings=_SPACINGS,
        nulls={**dict.fromkeys(names, null), ALL: all_},
        outcomes=outcomes,
        likeness=likeness,
    )
