"""The smallest bundle that is one: a graph of one stump under the feature table of ours."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from contracts.features import FeatureTable
from contracts.heart_disease import HEART_DISEASE
from models import bundle
from models.bundle import Evaluation, Manifest, ReferenceRow, TrainingData
from models.session import open_session
from models.sign import sign_bundle
from models.verify import read_bundle

FURTHER_FILE = "tokenizer.json"


def write_bundle(path: Path, private_key: Path, *, threshold: float, further: bytes | None = None) -> dict[str, bytes]:
    """Write a signed bundle, with a further file if there is one to hold, and return its files."""
    graph = _graph(HEART_DISEASE)
    row = tuple(feature.usual[0] for feature in HEART_DISEASE.features)
    (score,) = open_session(graph).run(["probability"], {"features": np.array([row], dtype=np.float32)})[0][0]
    manifest = Manifest(
        name="test-vector",
        version="1.0.0",
        feature_table=HEART_DISEASE,
        threshold=threshold,
        model_bytes=len(graph),
        input_name="features",
        output_name="probability",
        training_data=TrainingData(sha256="0" * 64, patients=0, positives=0),
        seed=0,
        libraries={},
        evaluation=Evaluation(method="none: a test vector", auc=0, brier=0, recall=0, specificity=0),
        reference_rows=(ReferenceRow(values=row, probability=round(float(score), 6)),),
    )

    def sign(directory: Path) -> None:
        if further is not None:
            (directory / FURTHER_FILE).write_bytes(further)
        sign_bundle(directory, private_key)

    bundle.write_bundle(path, manifest, graph, sign)
    return read_bundle(path)


def _graph(table: FeatureTable) -> bytes:
    """Return a graph of the operators that a trained one is made of: imputation, a stump on the age, sigmoid."""
    imputed = [float(feature.usual[0]) for feature in table.features]
    impute = helper.make_node(
        "Imputer",
        ["features"],
        ["imputed"],
        domain="ai.onnx.ml",
        imputed_value_floats=imputed,
        replaced_value_float=float("nan"),
    )
    stump = helper.make_node(
        "TreeEnsembleRegressor",
        ["imputed"],
        ["margin"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[50.0, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[-1.0, 1.0],
    )
    graph = helper.make_graph(
        [impute, stump, helper.make_node("Sigmoid", ["margin"], ["probability"])],
        table.name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(table.features)])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 1])],
    )
    made = helper.make_model(
        graph,
        producer_name="cardiosentry",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    return bytes(made.SerializeToString(deterministic=True))
