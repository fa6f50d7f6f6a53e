"""Write docs/shipping-fields.md: `python docs/write_shipping.py`. A test says when it is not current."""

from pathlib import Path

from monitoring.elastic.mappings import fields
from monitoring.elastic.streams import STREAMS, Names

TEXT = """\
# Indices and fields in Elasticsearch

What `cardiosentry ship` writes ([shipping.md](shipping.md)); the names stand in monitoring/elastic/streams.py, the
fields come from the documents' types. `*` is the UTC day, as 2026.11.23. The time of every document is `@timestamp`.

| index | holds | kept, days | found after |
|---|---|---|---|
{streams}

`found after` is how long a document that is there may take until a search finds it.

| field | type | in |
|---|---|---|
{fields}

`labels` holds a keyword for each name in it: `labels.statistic`, `labels.worker`.
"""


def page() -> str:
    """Return the page."""
    names = Names()
    streams = [
        f"| {names.pattern(stream)} | {stream.holds} | {stream.keep_days or 'for ever'} | {stream.refresh} |"
        for stream in STREAMS
    ]
    found: dict[tuple[str, str], list[str]] = {}
    for stream in STREAMS:
        for name, kind in fields(stream.document).items():
            found.setdefault((name, kind), []).append(stream.name)
    rows = [f"| {name} | {kind} | {', '.join(where)} |" for (name, kind), where in sorted(found.items())]
    return TEXT.format(streams="\n".join(streams), fields="\n".join(rows))


if __name__ == "__main__":
    Path(__file__).with_name("shipping-fields.md").write_text(page(), "utf-8")
