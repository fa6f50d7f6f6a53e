"""What a graph may be made of, before it is loaded: an allow-list, because a list of what is bad is never complete."""

from collections.abc import Iterator

from google.protobuf.message import DecodeError
from onnx import AttributeProto, ModelProto, TensorProto

MAX_IR_VERSION = 10
MAX_NODES = 10_000

# Domain: the versions of its operators that we know.
OPSETS = {"": range(13, 22), "ai.onnx.ml": range(1, 5)}

# What models of tables are made of. Nothing here loops, branches, reads a file or makes random numbers.
_AI_ONNX = """
    Abs Add ArgMax Cast Clip Concat Constant Div Equal Exp Flatten Gather Gemm Greater GreaterOrEqual Identity IsNaN
    Less LessOrEqual Log MatMul Max Min Mul Neg Not Pow ReduceMean ReduceSum Relu Reshape Shape Sigmoid Slice Softmax
    Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where
"""
_AI_ONNX_ML = """
    ArrayFeatureExtractor Imputer LinearClassifier LinearRegressor Normalizer OneHotEncoder Scaler
    TreeEnsembleClassifier TreeEnsembleRegressor
"""
OPERATORS = {"": frozenset(_AI_ONNX.split()), "ai.onnx.ml": frozenset(_AI_ONNX_ML.split())}


def fault(onnx: bytes) -> str | None:
    """Return what is not allowed in a graph, "expected X, got Y", or None."""
    try:
        model = ModelProto.FromString(onnx)
    except DecodeError:
        return "expected an ONNX graph"
    return next(_faults(model), None)


def _faults(model: ModelProto) -> Iterator[str]:
    graph = model.graph
    if not graph.node:
        yield "expected an ONNX graph with nodes"
    if model.ir_version > MAX_IR_VERSION:
        yield f"expected an ONNX version of at most {MAX_IR_VERSION}, got {model.ir_version}"
    for opset in model.opset_import:
        if opset.version not in OPSETS.get(opset.domain, ()):
            yield f"expected operators of versions that we know, got {opset.domain or 'ai.onnx'!r} {opset.version}"[
                :200
            ]
    if model.functions or model.training_info or graph.sparse_initializer:
        yield "expected a graph without functions, training or sparse tensors"
    if len(graph.node) > MAX_NODES:
        yield f"expected at most {MAX_NODES} nodes, got {len(graph.node)}"
    for node in graph.node:
        if node.op_type not in OPERATORS.get(node.domain, frozenset()):
            yield f"expected operators of our list, got {node.domain}.{node.op_type}"[:200]
        if any(attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attribute in node.attribute):
            yield "expected operators without graphs of their own"
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    inside = [tensor for attribute in attributes for tensor in (attribute.t, *attribute.tensors)]
    if any(each.data_location == TensorProto.EXTERNAL or each.external_data for each in (*graph.initializer, *inside)):
        yield "expected every tensor inside the graph, got one in another file"
