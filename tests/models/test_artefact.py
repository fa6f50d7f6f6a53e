"""A graph holds what the list allows, and nothing that reaches out of it."""

from collections.abc import Callable
from typing import Any

import pytest
from onnx import ModelProto, TensorProto, helper

from models.artefact import MAX_NODES, fault
from tests.conftest import Trained

Change = Callable[[Any], object]


def graph_of(trained: Trained) -> Any:
    return ModelProto.FromString((trained.bundle / "model.onnx").read_bytes())


def test_our_own_graph_is_allowed(trained: Trained) -> None:
    assert fault((trained.bundle / "model.onnx").read_bytes()) is None


def subgraph() -> Any:
    branch = helper.make_graph([], "branch", [], [])
    return helper.make_node("Identity", ["a"], ["b"], body=branch)


def tensor_elsewhere() -> Any:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


FAULTS: dict[str, tuple[Change, str]] = {
    "an operator of somebody else": (
        lambda m: m.graph.node.append(helper.make_node("Run", ["a"], ["b"], domain="com.evil")),
        "expected operators of our list, got com.evil.Run",
    ),
    "an operator that is not listed": (
        lambda m: m.graph.node.append(helper.make_node("RandomNormal", [], ["b"], shape=[1])),
        "expected operators of our list, got .RandomNormal",
    ),
    "a loop": (lambda m: m.graph.node.append(helper.make_node("Loop", ["a"], ["b"])), "operators of our list"),
    "a graph in an operator": (lambda m: m.graph.node.append(subgraph()), "without graphs of their own"),
    "a tensor in another file": (
        lambda m: m.graph.initializer.append(tensor_elsewhere()),
        "every tensor inside the graph",
    ),
    "a tensor of an operator in another file": (
        lambda m: m.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor_elsewhere())),
        "every tensor inside the graph",
    ),
    "operators of a later version": (
        lambda m: m.opset_import.append(helper.make_opsetid("", 99)),
        "operators of versions that we know, got 'ai.onnx' 99",
    ),
    "operators of an unknown domain": (
        lambda m: m.opset_import.append(helper.make_opsetid("com.evil", 1)),
        "operators of versions that we know, got 'com.evil' 1",
    ),
    "a later format": (lambda m: setattr(m, "ir_version", 99), "an ONNX version of at most"),
    "a function": (lambda m: m.functions.add(), "without functions"),
    "no nodes": (lambda m: m.graph.ClearField("node"), "with nodes"),
    "nodes without end": (
        lambda m: m.graph.node.extend([helper.make_node("Identity", ["a"], ["b"])] * MAX_NODES),
        f"at most {MAX_NODES} nodes",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_not_on_the_list_is_refused(trained: Trained, case: str) -> None:
    change, said = FAULTS[case]
    model = graph_of(trained)
    change(model)
    found = fault(model.SerializeToString())
    assert found is not None
    assert said in found


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04\x95pickle", b"\xff" * 1000])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    assert (fault(content) or "").startswith("expected an ONNX graph")
