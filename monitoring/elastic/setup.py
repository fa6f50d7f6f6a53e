"""What Elasticsearch must know before documents come: how long to keep them, and what their fields are.

Each thing that is made carries the version that made it. One of an earlier version is replaced, one of a later version
is left alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError, TransportError

from contracts.errors import UserError
from monitoring.elastic.client import explained
from monitoring.elastic.mappings import mapping
from monitoring.elastic.streams import MANAGED_BY, STREAMS, VERSION, Names, Stream

_META = {"managed_by": MANAGED_BY, "version": VERSION}
_PRIORITY = 300  # above Elastic's own templates (100 to 200)
_NO_ILM = {400, 405, 410, 501}  # what servers without it answer; serverless says 410


class Done(NamedTuple):
    """What became of one thing: made, as before, replaced or left alone."""

    what: str
    became: str


def set_up(client: Elasticsearch, names: Names, *, ilm: bool, keep_days: Mapping[str, int]) -> Iterator[Done]:
    """Make or replace policies and templates, yielding each.

    `keep_days` is retention by stream, before what is there already, and that before our own.

    Without `ilm` nothing in Elasticsearch deletes anything. Raises `UserError`.
    """
    try:
        if ilm:
            _require_ilm(client, names)
        yield from _set_up(client, names, ilm=ilm, keep_days=keep_days)
    except (ApiError, TransportError) as error:
        raise explained(error) from None


def require_setup(client: Elasticsearch, names: Names) -> None:
    """Raise `UserError` unless Elasticsearch was set up, by this version or a later one, or what the client raises."""
    mark = _read(client, "index", names.setup)
    if mark is None or _version(mark) < VERSION:
        got = "it has none" if mark is None else f"it has version {_version(mark)}"
        raise UserError(
            f"Elasticsearch: expected the templates of CardioSentry (index {names.setup}), of version {VERSION} or "
            f"later, {got}; run `cardiosentry ship --setup`"
        )


def require_fields(client: Elasticsearch, names: Names) -> None:
    """Raise `UserError` if an index of documents was made without our templates, or what the client raises.

    Elasticsearch guesses its fields then. That is so where somebody deleted the templates since they were made.
    """
    patterns = [names.pattern(stream) for stream in STREAMS]
    of_each = ["*.mappings._meta.version", "*.mappings.properties.@timestamp.type"]
    found = client.indices.get_mapping(index=patterns, allow_no_indices=True, filter_path=of_each)
    for index, each in sorted(found.items()):
        if not _version(each["mappings"]):
            raise UserError(
                f"Elasticsearch: expected of {index} that a template of ours made it, its fields are guessed; run "
                "`cardiosentry ship --setup`, index it anew under the template, then start the shipper again"
            )


def policy(min_age: str | None) -> dict[str, Any]:
    """Return the lifecycle of a stream's indices, of an age as "30d"; it counts from the day in an index's name."""
    phases: dict[str, Any] = {"hot": {"min_age": "0ms", "actions": {"set_priority": {"priority": 100}}}}
    if min_age is not None:
        phases["delete"] = {"min_age": min_age, "actions": {"delete": {}}}
    return {"phases": phases, "_meta": _META}


def base_template() -> dict[str, Any]:
    """Return the settings that all indices share."""
    return {
        "template": {
            "settings": {
                "index.number_of_shards": 1,
                "index.auto_expand_replicas": "0-1",
                _LABELS_LIMIT: True,  # a label too many is not searchable
            }
        },
        "version": VERSION,
        "meta": _META,
    }


def component_template(stream: Stream, names: Names, *, ilm: bool) -> dict[str, Any]:
    """Return what a stream's indices are: fields, refresh, lifecycle."""
    settings: dict[str, Any] = {"index.refresh_interval": stream.refresh}
    if ilm:
        settings["index.lifecycle.name"] = names.of(stream)
        settings["index.lifecycle.parse_origination_date"] = True
    return {
        "template": {"settings": settings, "mappings": {**mapping(stream.document), "_meta": _META}},
        "version": VERSION,
        "meta": _META,
    }


def index_template(stream: Stream, names: Names) -> dict[str, Any]:
    """Return the template by which a new day's index is made."""
    return {
        "index_patterns": [names.pattern(stream)],
        "composed_of": [names.base, names.of(stream)],
        "priority": _PRIORITY,
        "version": VERSION,
        "meta": _META,
    }


def _require_ilm(client: Elasticsearch, names: Names) -> None:
    try:
        client.ilm.get_lifecycle(name=names.of(STREAMS[0]))
    except NotFoundError:
        return
    except ApiError as error:
        if error.status_code not in _NO_ILM:
            raise
        raise UserError(
            "Elasticsearch: expected index lifecycle management (ILM), this server has none; with --without-ilm it is "
            "set up all the same, and deleting old indices is left to you"
        ) from None


def _set_up(client: Elasticsearch, names: Names, *, ilm: bool, keep_days: Mapping[str, int]) -> Iterator[Done]:
    for stream in STREAMS if ilm else ():
        body = {"policy": policy(_min_age(client, stream, names, keep_days))}
        yield _put(client, "policy", names.of(stream), body)
    yield _put_base(client, names)
    current = []
    for stream in STREAMS:
        done = _put(client, "component", names.of(stream), component_template(stream, names, ilm=ilm))
        current += [] if done.became.startswith(_LEFT) else [stream]
        yield done
    for stream in STREAMS:
        yield _put(client, "template", names.of(stream), index_template(stream, names))
    for stream in current:
        _put_mapping(client, stream, names)
    mark = {
        "mappings": {"dynamic": "strict", "_meta": _META},
        "settings": {"index.number_of_shards": 1, "index.auto_expand_replicas": "0-1"},
    }
    yield _put(client, "index", names.setup, mark)


def _put_base(client: Elasticsearch, names: Names) -> Done:
    try:
        return _put(client, "component", names.base, base_template())
    except BadRequestError as error:
        if _LABELS_LIMIT not in str(error.body):
            raise
        raise UserError("Elasticsearch: expected 8.13 or later, it does not know a setting of ours") from None


def _put_mapping(client: Elasticsearch, stream: Stream, names: Names) -> None:
    """Put what is new in this version into the indices of today as well, also where an earlier run was interrupted."""
    try:
        client.indices.put_mapping(
            index=names.pattern(stream), allow_no_indices=True, meta=_META, **mapping(stream.document)
        )
    except BadRequestError:
        raise UserError(
            f"Elasticsearch: expected of every index {names.pattern(stream)} that a template of ours made it, one has "
            "fields of other types; delete it or index it anew under our template, then run this again"
        ) from None


def _min_age(client: Elasticsearch, stream: Stream, names: Names, keep_days: Mapping[str, int]) -> str | None:
    """Return what was asked for, or what is there already: a set-up that is run again deletes nothing sooner."""
    days = keep_days.get(stream.name, stream.keep_days)
    found = None if stream.name in keep_days else _read(client, "policy", names.of(stream))
    if found is not None:
        age: str | None = found["phases"].get("delete", {}).get("min_age")
        return age
    return None if days is None else f"{days}d"


_LEFT = "left alone"
_LABELS_LIMIT = "index.mapping.total_fields.ignore_dynamic_beyond_limit"
_Kind = Literal["policy", "component", "template", "index"]


def _put(client: Elasticsearch, kind: _Kind, name: str, body: dict[str, Any]) -> Done:
    """Write one thing unless it is of a later version; one of the same version is written again as it should be."""
    found = _read(client, kind, name)
    version = None if found is None else _version(found)
    what = f"{kind} {name}"
    if version is not None and version > VERSION:
        return Done(what, f"{_LEFT}: it is of version {version}, this is {VERSION}")
    match kind:
        case "policy":
            client.ilm.put_lifecycle(name=name, **body)
        case "component":
            client.cluster.put_component_template(name=name, **body)
        case "template":
            client.indices.put_index_template(name=name, **body)
        case "index" if version is None:
            client.indices.create(index=name, **body)
        case "index":
            client.indices.put_mapping(index=name, meta=_META)
    return Done(what, "made" if version is None else "as before" if version == VERSION else "replaced")


def _version(found: Mapping[str, Any]) -> int:
    """Return the version that made a thing, 0 where it does not say."""
    version = (found.get("_meta") or {}).get("version")
    return version if isinstance(version, int) else 0


def _read(client: Elasticsearch, kind: _Kind, name: str) -> dict[str, Any] | None:
    """Return a thing as it is, None where it is not there."""
    found: dict[str, Any]
    try:
        match kind:
            case "policy":
                found = client.ilm.get_lifecycle(name=name)[name]["policy"]
            case "component":
                (one,) = client.cluster.get_component_template(name=name)["component_templates"]
                found = one["component_template"]
            case "template":
                (one,) = client.indices.get_index_template(name=name)["index_templates"]
                found = one["index_template"]
            case "index":
                found = client.indices.get_mapping(index=name)[name]["mappings"]
    except NotFoundError:
        return None
    return found
