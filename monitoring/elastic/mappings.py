"""The mapping of a document, made from its type: strict, so that nothing in a document can change it.

A field of ECS has ECS's type (ecs_types.csv), one of ours, under `cardiosentry`, that of the contract. Where ECS has a
type that a server need not have, its plain relative is taken, as ECS allows.
"""

import functools
from importlib.resources import files
from typing import Any

import msgspec
from msgspec.inspect import (
    BoolType,
    EnumType,
    Field,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
)

OURS = "cardiosentry"
_KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": 1024}
_PLAIN = {"match_only_text": "text", "wildcard": "keyword", "constant_keyword": "keyword"}

_OURS_TO_THEIRS: dict[Any, dict[str, Any]] = {
    IntType: {"type": "long"},
    FloatType: {"type": "double"},
    BoolType: {"type": "boolean"},
    StrType: _KEYWORD,
    LiteralType: _KEYWORD,
    EnumType: _KEYWORD,
}

# Names are data in labels alone. They are text in the type; with `subobjects` false one may hold a dot.
_LABELS: dict[str, Any] = {"type": "object", "dynamic": True, "subobjects": False}
LABEL_TEMPLATE = {"labels": {"path_match": "labels.*", "mapping": _KEYWORD}}


def mapping(document: Any) -> dict[str, Any]:
    """Return the mapping of a document of this msgspec type.

    Raises `TypeError` for a field that is neither ECS's nor under `cardiosentry`, or of a type that we do not map.
    """
    made = _type(msgspec.inspect.type_info(document), "")
    return {
        "dynamic": "strict",
        "date_detection": False,
        "numeric_detection": False,
        "dynamic_templates": [LABEL_TEMPLATE],
        "properties": made["properties"],
    }


def fields(document: Any) -> dict[str, str]:
    """Return the path of each field of a document with its type in Elasticsearch."""
    return dict(_flat(mapping(document)["properties"], ""))


def _flat(properties: dict[str, Any], path: str) -> list[tuple[str, str]]:
    return [
        pair
        for name, each in properties.items()
        for pair in (
            _flat(each["properties"], f"{path}{name}.") if "properties" in each else [(path + name, each["type"])]
        )
    ]


def _type(kind: Type, path: str) -> dict[str, Any]:
    match kind:
        case Metadata():
            return _type(kind.type, path)
        case UnionType():
            (one,) = [each for each in kind.types if not isinstance(each, NoneType)]
            return _type(one, path)
        case StructType():
            return {"properties": {field.encode_name: _field(field, path) for field in kind.fields}}
    if path.partition(".")[0] != OURS:
        return _ecs_type(path)
    if isinstance(kind, IntType) and path.endswith("_at"):
        return {"type": "date", "format": "epoch_millis"}
    for plain, made in _OURS_TO_THEIRS.items():
        if isinstance(kind, plain):
            return made
    raise TypeError(f"{path}: expected a type that has one in Elasticsearch, got {type(kind).__name__}")


def _field(field: Field, path: str) -> dict[str, Any]:
    return _type(field.type, f"{path}.{field.encode_name}" if path else field.encode_name)


def _ecs_type(path: str) -> dict[str, Any]:
    found = ecs_types().get(path)
    if found is None:
        raise TypeError(f"{path}: expected a field of ECS, or one under {OURS}")
    plain = _PLAIN.get(found, found)
    match plain:
        case "object" if path == "labels":
            return _LABELS
        case "object" | "flattened" | "nested":
            raise TypeError(f"{path}: expected a field with a value of its own, ECS says {found}")
        case "keyword":
            return _KEYWORD
        case "date":
            return {"type": "date", "format": "strict_date_optional_time||epoch_millis"}
    return {"type": plain}


@functools.cache
def ecs_types() -> dict[str, str]:
    """Return ECS's type of each field that we may use."""
    lines = files(__package__).joinpath("ecs_types.csv").read_text("utf-8").splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    return {row[0]: row[1] for row in rows[1:]}
