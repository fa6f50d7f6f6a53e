"""What the scanners' tests run on: the real tools, trees with something planted, an OSV service, programs that fail.

Planted secrets are put together here when a test runs, so that a scan of this repository finds none.
"""

import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat.v4
from onnx import TensorProto, helper

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".cache" / "tools"

SECRET = "".join(("AK", "IAQZ7LPMN5RTHFPXA2"))  # a key of AWS that never was, as Gitleaks knows their form
HASH = f"--hash=sha256:{'a' * 64}"
VULNERABLE = f"jinja2==2.4.1 {HASH}\n"
HARMLESS = f"requests==2.32.0 {HASH}\n"
VULNERABILITY = "PYSEC-2099-1"


class ToolsUnavailable(Exception):  # as S3Unavailable
    """This machine cannot build the scanners; the text says what is missing."""


def build() -> None:
    """Make sure that the scanners which are no Python packages are in the cache."""
    if shutil.which("go") is None and not all((TOOLS / name).exists() for name in ("gitleaks", "osv-scanner")):
        raise ToolsUnavailable("needs Go: go not found on PATH")
    done = subprocess.run(["make", "tools"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolsUnavailable(f"make tools failed with exit code {done.returncode}: {done.stderr}".strip())


def clean_source(directory: Path) -> Path:
    """Return a source in which there is nothing to find."""
    directory.mkdir(parents=True)
    (directory / "app.py").write_text("print('hello')\n")
    (directory / "requirements.lock").write_text(HARMLESS)
    write_notebook(directory / "look.ipynb", "print('hello')")
    return directory


def clean_artefacts(directory: Path) -> Path:
    """Return a directory of a graph and a text."""
    directory.mkdir(parents=True)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "identity", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    (directory / "manifest.json").write_text("{}")
    return directory


def git(repository: Path, *arguments: str) -> None:
    """Run git as a made-up person."""
    person = ["-c", "user.name=Jane Doe", "-c", "user.email=jane@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *person, *arguments], cwd=repository, check=True, capture_output=True)


def commit(repository: Path, **files: str) -> None:
    """Commit Python files as they are then, in a repository that is made if there is none."""
    if not (repository / ".git").exists():
        git(repository, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (repository / f"{name}.py").write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "a change")


def write_notebook(file: Path, source: str, output: str = "") -> None:
    cell = nbformat.v4.new_code_cell(source, id="one")  # type: ignore[no-untyped-call]
    if output:
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)]  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]
    file.write_text(nbformat.writes(notebook))  # type: ignore[no-untyped-call]


def osv_record() -> dict[str, object]:
    """Return a vulnerability of jinja2 below 2.11.3, in the form of OSV (ossf.github.io/osv-schema)."""
    return {
        "schema_version": "1.6.0",
        "id": VULNERABILITY,
        "aliases": ["CVE-2099-1"],
        "summary": "planted",
        "details": "planted",
        "modified": "2026-01-01T00:00:00Z",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [
            {
                "package": {"name": "jinja2", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.11.3"}]}],
                "versions": ["2.4.1"],
            }
        ],
    }


def osv_database(directory: Path) -> Path:
    """Return the directory of a database that OSV-Scanner reads offline; it holds one record."""
    archive = directory / "osv-scanner" / "PyPI" / "all.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as records:
        records.writestr(f"{VULNERABILITY}.json", json.dumps(osv_record()))
    return directory


class _Osv(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked["package"]["name"] == "jinja2" and asked["version"] == "2.4.1"
        answer = json.dumps({"vulns": [osv_record()] if known else []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def osv_service() -> Iterator[str]:
    """Run a service that knows the one record; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Osv)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fake_tool(directory: Path, name: str, *, report: str | None = None, code: int = 0, body: str = "") -> Path:
    """Put a program `name` into `directory` that writes `report`, runs `body` and ends with `code`."""
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(
        f"""#!{sys.executable}
import pathlib, sys
arguments = sys.argv[1:]
if arguments in (["version"], ["--version"]):
    print("{name} version 1.2.3")
    sys.exit()
{body}
report = {report!r}
if report is not None:
    flag = next(each for each in ("--report-path", "--file", "--output") if each in arguments)
    pathlib.Path(arguments[arguments.index(flag) + 1]).write_text(report)
print("what the tool says last", file=sys.stderr)
sys.exit({code})
"""
    )
    file.chmod(0o755)
    return directory
