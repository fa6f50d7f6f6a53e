"""Export to ONNX: Imputer, one tree a feature, sigmoid; then a check against scikit-learn, row by row.

A sum of stumps over one feature is a step function, so all stumps of a feature become one balanced tree over its
steps: the same function with 13 trees in place of hundreds, and a tenth of the time of a row. Calibration is a factor
and a shift of the leaves.

Why not skl2onnx: in 1.20 it converts CalibratedClassifierCV over GradientBoostingClassifier by feeding the sigmoid
probabilities where scikit-learn feeds margins, and its answers are off by up to 0.5.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from contracts.features import FeatureTable, Matrix
from models.fit import FittedModel
from models.session import open_session

INPUT_NAME = "features"
OUTPUT_NAME = "probability"
MAX_DIFFERENCE = 1e-5  # float32 sums of a dozen leaves differ from float64 by 1e-7
_OPSETS = (("", 17), ("ai.onnx.ml", 3))
_IR_VERSION = 8  # of opset 17: what a runtime of 2022 still reads

Floats = npt.NDArray[np.float64]


@dataclass
class _Nodes:
    """The attribute columns of a TreeEnsembleRegressor, a row a node."""

    treeids: list[int] = field(default_factory=list)
    nodeids: list[int] = field(default_factory=list)
    featureids: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    truenodeids: list[int] = field(default_factory=list)
    falsenodeids: list[int] = field(default_factory=list)
    leaf_treeids: list[int] = field(default_factory=list)
    leaf_nodeids: list[int] = field(default_factory=list)
    leaf_weights: list[float] = field(default_factory=list)

    def add(self, tree: int, feature: int, steps: Floats, heights: Floats, first_id: int = 0) -> int:
        """Add the step function as a balanced tree, root first, and return the next free node id.

        `heights` has one more than `steps`: a value x takes `heights[i]` for the first i with x <= steps[i].
        """
        self.treeids.append(tree)
        self.nodeids.append(first_id)
        self.featureids.append(feature)
        here = len(self.nodeids) - 1
        middle = len(steps) // 2
        self.modes.append("BRANCH_LEQ" if len(steps) else "LEAF")
        self.values.append(_float32_below(steps[middle]) if len(steps) else 0.0)
        self.truenodeids.append(first_id + 1 if len(steps) else 0)
        self.falsenodeids.append(0)
        if not len(steps):
            self.leaf_treeids.append(tree)
            self.leaf_nodeids.append(first_id)
            self.leaf_weights.append(float(heights[0]))
            return first_id + 1
        right = self.add(tree, feature, steps[:middle], heights[: middle + 1], first_id + 1)
        self.falsenodeids[here] = right
        return self.add(tree, feature, steps[middle + 1 :], heights[middle + 1 :], right)


def export_onnx(model: FittedModel, table: FeatureTable) -> bytes:
    """Return the model as an ONNX graph: `features` (n, features) float32, NaN where missing; `probability` (n, 1)."""
    nodes = _Nodes()
    medians = np.asarray(model.boosted.imputer.statistics_, dtype=np.float64)
    at_medians = 0.0
    for tree, (feature, steps, heights) in enumerate(_curves(model)):
        nodes.add(tree, feature, steps, model.slope * heights)
        at_medians += float(heights[np.searchsorted(steps, medians[feature])])
    constant = float(model.boosted.margin(medians[None].astype(np.float32))[0]) - at_medians
    ensemble = {
        f"nodes_{name}": getattr(nodes, name)
        for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    }
    graph = helper.make_graph(
        [
            helper.make_node(
                "Imputer",
                [INPUT_NAME],
                ["imputed"],
                domain="ai.onnx.ml",
                imputed_value_floats=medians.tolist(),
                replaced_value_float=float("nan"),
            ),
            helper.make_node(
                "TreeEnsembleRegressor",
                ["imputed"],
                ["margin"],
                domain="ai.onnx.ml",
                n_targets=1,
                base_values=[model.slope * constant + model.intercept],
                target_treeids=nodes.leaf_treeids,
                target_nodeids=nodes.leaf_nodeids,
                target_ids=[0] * len(nodes.leaf_nodeids),
                target_weights=nodes.leaf_weights,
                **ensemble,
            ),
            helper.make_node("Sigmoid", ["margin"], [OUTPUT_NAME]),
        ],
        table.name,
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["n", len(table.features)])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["n", 1])],
    )
    made = helper.make_model(
        graph,
        producer_name="cardiosentry",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in _OPSETS],
    )
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString(deterministic=True))


def check_export(graph: bytes, model: FittedModel, x: Matrix, seed: int) -> float:
    """Return the largest difference between the graph and scikit-learn, over `x` and over made-up rows.

    The made-up rows mix the columns of `x` at random, with 30% of the values missing, and one row has none at all.
    Raises `ArithmeticError` when it is more than `MAX_DIFFERENCE`: the export is wrong and must not be used.
    """
    rng = np.random.default_rng(seed)
    mixed = np.column_stack([rng.choice(column, size=500) for column in x.T])
    mixed[rng.random(mixed.shape) < 0.3] = np.nan
    mixed[0] = np.nan
    rows = np.concatenate([x, mixed]).astype(np.float32)
    found = open_session(graph).run([OUTPUT_NAME], {INPUT_NAME: rows})[0][:, 0]
    difference = float(np.abs(found - model.probability(rows)).max())
    if not difference <= MAX_DIFFERENCE:
        raise ArithmeticError(f"ONNX export: expected a difference of at most {MAX_DIFFERENCE}, got {difference}")
    return difference


def _curves(model: FittedModel) -> Iterator[tuple[int, Floats, Floats]]:
    """Yield each feature that the stumps use with its step function (steps, heights), before calibration."""
    members = model.boosted.members
    stumps: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    for boosting, tree in ((member, estimator.tree_) for member in members for estimator in member.estimators_[:, 0]):
        if tree.node_count == 1:  # no split was worth it: a constant, which the caller finds
            continue
        if tree.node_count != 3:
            raise ValueError(f"ONNX export: expected trees of one split, got one of {tree.node_count} nodes")
        below, above = (
            boosting.learning_rate / len(members) * float(tree.value[child, 0, 0])
            for child in (tree.children_left[0], tree.children_right[0])
        )
        stumps[int(tree.feature[0])].append((float(tree.threshold[0]), below, above))
    for feature, parts in sorted(stumps.items()):
        at, below_of, above_of = np.array(parts).T
        steps = np.unique(at)
        heights = np.array([np.where(edge <= at, below_of, above_of).sum() for edge in (*steps, np.inf)])
        yield feature, steps, heights


def _float32_below(value: float) -> float:
    """Return the largest float32 that is not above `value`: x <= value is then the same for every float32 x."""
    rounded = np.float32(value)
    return float(rounded if float(rounded) <= value else np.nextafter(rounded, np.float32(-np.inf)))
