"""How panels ask Prometheus: over all workers of the system that was chosen."""

JOB = 'job="$job"'
CHAMPION = ',role="champion"'


def rate(name: str, by: str) -> str:
    """Return how fast a counter rises, a second, by some labels."""
    return f"sum by ({by}) (rate(cardiosentry_{name}{{{JOB}}}[$__rate_interval]))"


def quantile(of: float, name: str, by: str = "") -> str:
    """Return a quantile of a histogram; `by` are labels, each with a comma after it."""
    return f"histogram_quantile({of}, {rate(name + '_bucket', f'{by}le')})"


def one(name: str, matchers: str = "") -> str:
    """Return a gauge that all workers say the same of, or only one of them says."""
    return f"max(cardiosentry_{name}{{{JOB}{matchers}}})"
