"""The files of the page, and the headers that every answer carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""No script and no style but the page's own files, nothing from elsewhere, no frame around it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A file as it is served."""

    body: bytes
    content_type: str


def read_pages() -> dict[str, Page]:
    """Return the files of the page by name; they come with the program."""
    return {
        file.name: Page(file.read_bytes(), _TYPES[file.name[file.name.rindex(".") :]])
        for file in files(__package__).joinpath("page").iterdir()
    }
