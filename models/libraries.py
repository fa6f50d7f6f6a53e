"""The libraries that a model is made with: those that make its graph, and all that these need in turn."""

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MAKERS = ("numpy", "onnx", "onnxruntime", "scikit-learn", "scipy")


def libraries(names: tuple[str, ...] = MAKERS) -> dict[str, str]:
    """Return the installed version of each of `names` and of whatever they require on this machine, by name."""
    found: dict[str, str] = {}
    wanted = list(map(canonicalize_name, names))
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name in names:
                raise
            continue  # required by its maker, and made do without
        needed = map(Requirement, requires(name) or ())
        wanted += [
            canonicalize_name(each.name) for each in needed if not each.marker or each.marker.evaluate({"extra": ""})
        ]
    return dict(sorted(found.items()))
