"""What a health check says: of pages by their answer, of files by when a process touched them last."""

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cli.beat import beating
from cli.main import main
from contracts.errors import UserError


def healthy(*arguments: str) -> bool:
    """Return whether the check says that all is well; its exit code is all that a container reads."""
    try:
        main(["health", *arguments])
    except SystemExit as ended:
        return ended.code in (None, 0)
    return True


@pytest.fixture
def page() -> "Page":
    return Page()


class Page:
    """A page that answers with what `status` is."""

    def __init__(self) -> None:
        self.status = 200
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(page.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        self.server, self.url = server, f"http://127.0.0.1:{server.server_port}/health"


def test_a_page_is_well_while_it_answers_so(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    assert healthy(page.url)
    page.status = 503
    assert not healthy(page.url)
    assert "answered 503" in capsys.readouterr().err
    page.server.shutdown()
    page.server.server_close()
    assert not healthy(page.url)


def test_a_file_is_well_while_it_is_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "beat"
    assert not healthy(str(file))
    beating(str(file))()
    assert healthy(str(file))
    os.utime(file, (time.time() - 100, time.time() - 100))
    assert healthy(str(file))
    assert not healthy("--within-s", "60", str(file))
    assert "within 60 s, it was 100 s ago" in capsys.readouterr().err


def test_one_that_is_ill_is_enough(page: Page, tmp_path: Path) -> None:
    assert not healthy(page.url, str(tmp_path / "none"))


def test_a_process_beats_from_its_start_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("cli.beat.time.monotonic", lambda: clock)
    file = tmp_path / "beat"
    beat = beating(str(file))
    os.utime(file, (0, 0))
    beat()
    assert file.stat().st_mtime == 0  # beaten a moment ago
    clock += 2
    beat()
    assert file.stat().st_mtime > 0


def test_a_beat_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="setting beat"):
        beating(str(tmp_path / "missing" / "beat"))


def test_without_a_file_nothing_beats() -> None:
    beating("")()
