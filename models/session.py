"""The ONNX Runtime session that checks and scores use: one thread, no spinning, memory that does not grow."""

from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _state

# What ONNX Runtime raises for a graph that it cannot load or run; they share no base of their own.
SESSION_ERRORS: tuple[type[Exception], ...] = (
    _state.Fail,
    _state.InvalidArgument,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.NoSuchFile,
    _state.NotImplemented,
    _state.RuntimeException,
)


def open_session(onnx: bytes) -> Any:
    """Return an `onnxruntime.InferenceSession` of the graph `onnx`; raises one of `SESSION_ERRORS`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a worker is one process a core: more threads only take turns
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Batches have many sizes: a pattern is kept for each one seen, and the arena never gives memory back.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # what goes wrong is raised; it need not be printed as well
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
