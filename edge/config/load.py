"""Reading a config: YAML, ``--set`` overrides, validation, and errors that name file, line, key and what was expected."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from edge.config.line import Config
from edge.config.yaml_reader import Lines, nearest, parse_value, read_yaml
from edge.errors import UserError

_KEY = re.compile(r"([a-z_]+)(?:\.\w+|\[\d+\])*(?=: )")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid config, where it came from, and its text as it was read."""

    config: Config
    path: Path
    text: str
    overrides: tuple[str, ...] = ()
    lines: Lines = field(default_factory=dict, repr=False, compare=False)
    """Of the keys that the file itself gave."""

    @property
    def sha256(self) -> str:
        """Of the effective config: defaults filled in, ``--set`` applied, comments and order of keys without effect."""
        return hashlib.sha256(self.canonical).hexdigest()

    @property
    def canonical(self) -> bytes:
        """The effective config as JSON with sorted keys: what ``sha256`` is the hash of."""
        return orjson.dumps(self.config.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    def located(self, error: UserError) -> UserError:
        """The error with file and line, where it begins with a key as ``source.features[1]: Wdth: ...`` does."""
        key = _KEY.match(error.what)
        if key is None or key[1] not in Config.model_fields:
            return error
        parts = tuple(int(part) if part.isdecimal() else part for part in re.findall(r"\w+", key[0]))
        return error.at(f"{self.path}:{self.lines[parts]}" if parts in self.lines else str(self.path))

    def resolve(self, path: Path) -> Path:
        """A path of the config as the program opens it: relative ones lie beside the config file."""
        return (self.path.parent / path.expanduser()).absolute()


def load_config(path: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read, override (``regions.min_area_px=16``) and validate.

    Raises:
        UserError: names file, line, key, what was received and what was expected; all errors at once.
    """
    data, lines, text = read_yaml(path)
    if not isinstance(data, dict):
        raise UserError(f"{path}: not a config", received="an empty file" if data is None else "no mapping of keys")
    for item in overrides:
        _override(data, item, lines)
    try:
        # through JSON: strict mode then still takes lists for tuples and text for paths
        return Loaded(Config.model_validate_json(orjson.dumps(data)), path, text, tuple(overrides), lines)
    except ValidationError as error:
        raise UserError("\n".join(_explain_all(error.errors(), data, lines, path))) from None
    except (orjson.JSONEncodeError, TypeError) as error:
        raise UserError(f"{path}: not a config: {error}") from None


def _override(data: dict[str, Any], item: str, lines: Lines) -> None:
    key, equals, value = item.partition("=")
    if not equals or not key:
        raise UserError("--set", received=item, expected="key=value, regions.min_area_px=16 say")
    keys = key.split(".")
    here: Any = data
    for part in keys[:-1]:
        if here.get(part) is None:
            here[part] = {}
        here = here[part]
        if not isinstance(here, dict):
            raise UserError(
                f"--set {item}: {part} is a value, not a section",
                fix="a list is replaced whole: source.features=[[Width, 400]]",
            )
    here[keys[-1]] = parse_value(value, tuple(keys))
    for path in [p for p in lines if all(a == b for a, b in zip(p, keys, strict=False))]:
        del lines[path]  # of the sections around it too: their line doesn't hold what is wrong with them


def _explain_all(errors: Sequence[Any], data: Any, lines: Lines, path: Path) -> list[str]:
    """One text per error, in the order of the file; what ``--set`` brought comes last."""
    located = [(_real_location(e["type"], e["loc"], data), e) for e in errors]
    located.sort(key=lambda le: lines.get(le[0][1], len(lines) + 1))
    return [_explain(key, f"{path}:{lines[known]}" if known in lines else str(path), e) for (key, known), e in located]


def _explain(loc: list[str | int], where: str, error: Any) -> str:
    key = ".".join(map(str, loc)) or "config"
    kind, ctx = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = list(_fields_at(error["loc"][:-1]))
        guess = nearest(str(loc[-1]), known)
        mend = f"did you mean {guess!r}?" if guess else f"one of {', '.join(known)}"
        return str(UserError(f"{where}: {key}: unknown key", expected=mend))
    if kind == "missing":
        return str(UserError(f"{where}: {key}: missing", expected="a value: this key has no default"))
    if kind == "union_tag_invalid":
        tag = ctx["discriminator"].strip("'")
        return str(UserError(f"{where}: {key}.{tag}", received=repr(ctx["tag"]), expected=f"one of {ctx['expected_tags']}"))
    if kind == "union_tag_not_found":
        tag = ctx["discriminator"].strip("'")
        return str(UserError(f"{where}: {key}.{tag}: missing", expected="a value: this key has no default"))
    if kind == "string_type":
        return str(UserError(f"{where}: {key}", received=_shown(error["input"]), expected=_as_text(error["input"])))
    message = str(ctx.get("error", error["msg"])) if kind == "value_error" else error["msg"]
    expected = message[0].lower() + message[1:]
    if kind == "value_error":
        return str(UserError(f"{where}: {key}: {expected}"))
    return str(UserError(f"{where}: {key}", received=_shown(error["input"]), expected=expected))


def _as_text(value: object) -> str:
    return f'text: write it in quotes, "{_shown(value)}"' if isinstance(value, (bool, int, float)) else "text"


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= 80 else text[:77] + "..."


def _real_location(error_type: str, loc: tuple[str | int, ...], data: Any) -> tuple[list[str | int], tuple[str | int, ...]]:
    """Pydantic's location without the names of union branches, and the part of it that stands in the file."""
    real: list[str | int] = []
    here = data
    for index, part in enumerate(loc):
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            # a key that is missing or unknown is the last part; anything else that isn't in the data names a union branch
            if index == len(loc) - 1 and error_type == "missing" and isinstance(here, dict):
                return [*real, part], tuple(real)
            continue
        real.append(part)
    return real, tuple(real)


def _fields_at(loc: tuple[str | int, ...]) -> Sequence[str]:
    """Field names of the section that pydantic's location points into, found in the models' JSON schema."""
    schema = Config.model_json_schema()
    definitions = schema["$defs"]

    def variants(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return variants(definitions[node["$ref"].rpartition("/")[2]])
        inner = node.get("anyOf", []) + node.get("oneOf", [])
        return [v for n in inner for v in variants(n)] if inner else [node]

    nodes = [schema]
    for part in loc:
        named = [v for n in nodes if part in n.get("properties", {}) for v in variants(n["properties"][part])]
        listed = [v for n in nodes if isinstance(part, int) and "items" in n for v in variants(n["items"])]
        tagged = [n for n in nodes if n.get("properties", {}).get("kind", {}).get("const") == part]
        nodes = named or listed or tagged or nodes  # else the name of a union's branch
    return [name for n in nodes for name in n.get("properties", {})]
