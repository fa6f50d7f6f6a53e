"""Which room may know which: the arrows of docs/architecture.md, and a core that does no I/O."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MAY_IMPORT: dict[str, set[str]] = {
    "contracts": set(),
    "models": {"contracts"},
    "producers": {"contracts"},
    "stream_app": {"contracts", "models"},
    "monitoring": {"contracts"},
    "cli": {"contracts", "models", "producers", "stream_app", "monitoring"},
}
OURS = {*MAY_IMPORT, "tests", "benchmarks"}

MODULES = sorted(path.relative_to(ROOT) for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))

# What only trains: a worker that can load it can be made to run it.
TRAINING = [
    *("models.train", "models.dataset", "models.fit", "models.evaluate", "models.pipeline"),
    *("sklearn", "skl2onnx", "pandas", "pyarrow", "scipy"),
]

# Modules by which a contract could reach a disk, the network, another process or a clock of its own.
IO_MODULES = {
    *("os", "io", "pathlib", "shutil", "tempfile", "glob", "fcntl", "socket", "ssl", "select", "selectors", "asyncio"),
    *("subprocess", "multiprocessing", "threading", "signal", "urllib", "http", "time", "random", "secrets", "logging"),
    *("confluent_kafka", "faust", "click", "rich", "prometheus_client", "importlib", "sys", "builtins", "ctypes"),
}
IO_CALLS = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
CLOCK_CALLS = {"now", "utcnow", "today"}


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, inside its functions as well."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute, so that arrows can be read"
            yield node.module or ""


def top(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_rooms_that_its_own_may_know(path: Path) -> None:
    room = path.parts[0]
    known = {top(module) for module in imports(path)} & OURS
    assert known <= MAY_IMPORT[room] | {room}


def test_only_the_shell_of_a_worker_knows_faust() -> None:
    importers = {str(path) for path in MODULES if {"faust", "mode"} & {top(module) for module in imports(path)}}
    assert importers <= {"stream_app/app.py", "stream_app/transport.py", "stream_app/faust_app.py"}


def test_only_the_shell_of_a_worker_knows_kafka() -> None:
    importers = {
        path.name
        for path in MODULES
        if path.parts[0] == "stream_app" and "confluent_kafka" in {top(module) for module in imports(path)}
    }
    assert importers <= {"output.py", "poller.py", "messages.py", "history.py", "transport.py", "releases.py"}


@pytest.mark.parametrize("module", ["stream_app.app", "stream_app.worker", "stream_app.supervisor"])
def test_a_worker_never_loads_what_trains(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    assert module in loaded
    assert [
        name for name in loaded if name.startswith(tuple(f"{each}." for each in TRAINING)) or name in TRAINING
    ] == []


CONTRACTS = [path for path in MODULES if path.parts[0] == "contracts"]


@pytest.mark.parametrize("path", CONTRACTS, ids=str)
def test_a_contract_does_no_io(path: Path) -> None:
    assert {top(module) for module in imports(path)} & IO_MODULES == set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                assert node.func.id not in IO_CALLS, f"{path}:{node.lineno}"
            if isinstance(node.func, ast.Attribute):
                assert node.func.attr not in CLOCK_CALLS, f"{path}:{node.lineno}"


@pytest.mark.parametrize("name", ["decode", "forms", "score", "pipeline", "batch"])
def test_the_core_of_the_pipeline_does_no_io(name: str) -> None:
    path = Path("stream_app") / f"{name}.py"
    assert {top(module) for module in imports(path)} & (IO_MODULES - {"random"}) == set()


def test_importing_the_contracts_opens_nothing() -> None:
    """Audit hooks see every file, socket and process; reading modules' own source is all that an import may do."""
    program = """
import sys, pkgutil, importlib, contracts, numpy, msgspec, hmac, tomllib, re, base64, datetime
opened = []
def hook(event, arguments):
    if event in ("open", "socket.connect", "subprocess.Popen", "os.system"):
        if not str(arguments[0]).endswith((".py", ".pyc", ".so")):
            opened.append((event, arguments[0]))
sys.addaudithook(hook)
for module in pkgutil.iter_modules(contracts.__path__):
    importlib.import_module("contracts." + module.name)
assert not opened, opened
"""
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr
