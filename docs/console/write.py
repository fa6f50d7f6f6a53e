"""Write the pictures of docs/console.md: the console of a demo whose stream somebody attacks."""

import io
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.support.console import STARTED_S, chromium
from tests.support.process import CommandProcess
from tests.support.waiting import wait_for

HERE = Path(__file__).parent
SHOTS = (("console.png", 1280, 980, "light"), ("console-narrow.png", 390, 900, "dark"))
_COLOURS = 96  # of what is shown, so few are seen to be enough
_SETTLE_S = 75
_PAGE = re.compile(r"^console (http://\S+)$", re.M)


def main() -> None:
    """Run a demo, wait for its first alert and a minute of its stream, and keep what the page shows."""
    began = time.monotonic()
    arguments = ("demo", "--attack", "replay", "--console-port", "0")
    with (
        tempfile.TemporaryDirectory() as scratch,
        CommandProcess(Path(scratch) / "log", *arguments, leave=signal.SIGTERM) as demo,
        chromium() as browser,
    ):
        wait_for(lambda: _PAGE.search(demo.text()) is not None, STARTED_S, demo.text)
        (page,) = _PAGE.findall(demo.text())
        _wait_for_an_alert(browser, page)
        print(f"first alert on the page {time.monotonic() - began:.0f} s after the start", file=sys.stderr)
        time.sleep(_SETTLE_S)
        for name, width, height, scheme in SHOTS:
            _shoot(browser, page, HERE / name, width, height, scheme)


def _wait_for_an_alert(browser: Browser, page: str) -> None:
    seen = browser.new_page()
    for _ in range(100):  # the server may not listen yet
        try:
            seen.goto(page)
            break
        except Exception:
            time.sleep(0.1)
    seen.locator("details.alert").first.wait_for(timeout=60_000)
    seen.close()


def _shoot(browser: Browser, page: str, file: Path, width: int, height: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    seen = context.new_page()
    seen.goto(page)
    seen.locator("#status[data-state=live]").wait_for()
    seen.locator("#drift-columns > li").first.wait_for()
    picture = Image.open(io.BytesIO(seen.screenshot()))
    picture.convert("RGB").quantize(_COLOURS).save(file, optimize=True)
    context.close()


if __name__ == "__main__":
    main()
