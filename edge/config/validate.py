"""Plain data becomes a section here, and pydantic's errors are put in our words: file, line, key, what came, what was
expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from edge.config.address import redacted_within
from edge.config.yaml_reader import Lines, Section, nearest
from edge.errors import UserError

S = TypeVar("S", bound=Section)


def parse(kind: type[S], data: Any) -> S:
    """Turn ``data``, as YAML or JSON gives it, into a section. Raises pydantic's ValidationError.

    The data goes through JSON, because only then does strict mode take lists for tuples and text for paths.
    """
    return kind.model_validate_json(orjson.dumps(data))


def validate(
    kind: type[S], data: Any, name: Path | str, *, lines: Lines | None = None, whole: str = "", fix: str | None = None
) -> S:
    """Turn ``data`` into a section, or raise one error that lists everything wrong with it.

    Args:
        kind: the section that ``data`` is to be.
        data: mappings, lists and scalars.
        name: the file or option that ``data`` came from; it stands in the error texts.
        lines: where the keys stand in that file.
        whole: what to call all of it, such as ``config``, where no key can be named.
        fix: how to mend whatever it is.

    Raises:
        UserError: one text per mistake, in the order of the file; a misspelt key with the one that it is nearest to.
    """
    try:
        return parse(kind, data)
    except ValidationError as error:
        texts = _explain_all(kind, error.errors(), data, lines or {}, name, whole)
        raise UserError("\n".join(texts), fix=fix) from None


def expectation(error: Any) -> str:
    """Return what pydantic's error says was expected, beginning in lower case like the rest of a sentence."""
    message = str(error.get("ctx", {}).get("error", error["msg"])) if error["type"] == "value_error" else error["msg"]
    return str(message[0].lower() + message[1:])


def _explain_all(
    kind: type[BaseModel], errors: Sequence[Any], data: Any, lines: Lines, name: Path | str, whole: str
) -> list[str]:
    """Return one text per error, in the order of the file; errors that stand in no line come last."""
    located = [(*_real_location(e["type"], e["loc"], data), e) for e in errors]
    located.sort(key=lambda item: lines.get(item[1], len(lines) + 1))
    texts = []
    for key, known, error in located:
        where = f"{name}:{lines[known]}" if known in lines else str(name)
        noun = redacted_within(".".join(map(str, key))) or whole
        texts.append(str(_explained(kind, f"{where}: {noun}" if noun else where, key, error)))
    return texts


def _explained(model: type[BaseModel], where: str, key: Sequence[str | int], error: Any) -> UserError:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = list(_fields_at(model, error["loc"][:-1]))
        guess = nearest(str(key[-1]), known)
        return UserError(
            f"{where}: unknown key", expected=f"did you mean {guess!r}?" if guess else f"one of {', '.join(known)}"
        )
    if kind == "missing":
        return UserError(f"{where}: missing", expected="a value: this key has no default")
    if kind == "union_tag_invalid":
        tag = context["discriminator"].strip("'")
        return UserError(f"{where}.{tag}", received=_shown(context["tag"]), expected=f"one of {context['expected_tags']}")
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        return UserError(f"{where}.{tag}: missing", expected="a value: this key has no default")
    if kind == "string_type":
        return UserError(where, received=_shown(error["input"]), expected=_as_text(error["input"]))
    if kind == "value_error":
        return UserError(f"{where}: {expectation(error)}")
    return UserError(where, received=_shown(error["input"]), expected=expectation(error))


def _as_text(value: object) -> str:
    # the number that it was read as has lost its leading zeros, or was hexadecimal
    return "text: write it in quotes, exactly as it stands there" if isinstance(value, (bool, int, float)) else "text"


def _shown(value: object) -> str:
    text = redacted_within(repr(value) if isinstance(value, str) else orjson.dumps(value, default=str).decode())
    return text if len(text) <= 80 else text[:77] + "..."


def _real_location(error_type: str, loc: tuple[str | int, ...], data: Any) -> tuple[list[str | int], tuple[str | int, ...]]:
    """Return pydantic's location without the names of union branches, and the part of it that stands in the file."""
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


def _fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> Sequence[str]:
    """Return the field names of the section that pydantic's location points into, from the model's JSON schema."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})

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
