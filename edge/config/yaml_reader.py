"""YAML is read strictly: with the scalars of version 1.2, without duplicate keys, and with the line of every key for
errors.

PyYAML's own loader follows YAML 1.1: it reads ``off`` and ``On`` as booleans (``[TriggerMode, On]`` would write ``True``
to a camera), ``1e3`` as text and ``12:30`` as 750. https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import difflib
import math
import re
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict

from edge.config.text_file import read_text_file
from edge.errors import UserError

Lines: TypeAlias = dict[tuple[str | int, ...], int]
"""Line number, from 1, of each key and list item, by its path from the root."""

_SET = "--set"
_LONGEST_INT = 100
"""Most characters of an integer; int() refuses thousands of digits."""
_MOST = 100_000
"""Most values in one file: a few lines of aliases can stand for billions."""


class _CoreLoader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  (none of PyYAML's own)


for _tag, _regexp, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_regexp})$"), _first)


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return _integer(loader.construct_scalar(node))


def _integer(text: str) -> int:
    # base 10 by hand: int(text, 0) refuses 007
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _fits_64_bits(text: str) -> bool:
    return len(text) <= _LONGEST_INT and -(1 << 63) <= _integer(text) < 1 << 64


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))


_CoreLoader.add_constructor("tag:yaml.org,2002:int", _int)
_CoreLoader.add_constructor("tag:yaml.org,2002:float", _float)


class Section(BaseModel):
    """A section refuses unknown keys; its values are frozen, and neither ``16`` is text nor ``true`` a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True)


def parse_yaml(text: str, name: str, inside: tuple[str, ...] = ()) -> tuple[Any, Lines]:
    """Return the data and the line numbers of one YAML document.

    ``name`` stands in the error texts; ``inside`` is the path of keys where the document will belong.

    Raises:
        UserError: bad syntax, a duplicate key, a key that is no text, ``.nan`` or ``.inf``, an integer beyond 64 bits.
    """
    lines: Lines = {}
    loader = None
    try:
        loader = _CoreLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _check(node, inside, name, lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise UserError(f"{where}: not valid YAML: {_problem_text(error)}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:  # a text that is tagged as a number: !!int x
        raise UserError(f"{name}: not valid YAML: {error}") from None
    except RecursionError:
        raise UserError(f"{name}: not valid YAML: nested too deeply, or a list that contains itself") from None
    finally:
        if loader is not None:
            loader.dispose()


def parse_value(text: str, keys: tuple[str, ...] = ()) -> Any:
    """Return one value as it would stand behind ``keys``: ``16`` is an int, ``[1, 2]`` a list, ``On`` a text."""
    return parse_yaml(text, _SET, keys)[0]


def read_yaml(path: Path) -> tuple[Any, Lines, str]:
    """Return the data, the line numbers and the text of a file."""
    text = read_text_file(path).replace("\r\n", "\n")
    data, lines = parse_yaml(text, str(path))
    return data, lines, text


class _Dumper(yaml.SafeDumper):
    """The dumper quotes what YAML 1.2 would read as a number but PyYAML, which follows 1.1, would leave bare: ``1e3``,
    ``0o7``.
    """


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if text[:1] in "0123456789+-." else None)


_Dumper.add_representer(str, _text)


def dump_yaml(data: Any) -> str:
    """Return a mapping as text that ``read_yaml`` reads back unchanged; keys stay in order, innermost lists take one
    line.
    """
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)


def nearest(word: str, known: list[str]) -> str | None:
    """Return the known word that a misspelt one most likely means, or None."""
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def _problem_text(error: yaml.MarkedYAMLError) -> str:
    """Return PyYAML's problem with where it was and where that began; one half alone reads like half a sentence."""
    if not error.context or not error.problem:
        return str(error.problem or error.context)
    if error.context.startswith("while") and error.context_mark:
        return f"{error.problem}, {error.context} that begins in line {error.context_mark.line + 1}"
    return f"{error.context}, {error.problem}"


def _place(name: str, node: yaml.Node) -> str:
    return name if name == _SET else f"{name}:{node.start_mark.line + 1}"


def _check(node: yaml.Node, path: tuple[str | int, ...], name: str, lines: Lines) -> None:
    here = _place(name, node)
    if len(lines) > _MOST:
        raise UserError(f"{here}: more than {_MOST} values: aliases that repeat each other")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            where = _place(name, key)
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise UserError(f"{where}: a key must be text", received=shown)
            inner = (*path, key.value)
            if inner in lines:
                raise UserError(
                    f"{where}: {'.'.join(map(str, inner))}: the key stands twice",
                    received=f"line {lines[inner]} and line {key.start_mark.line + 1}",
                    fix="keep one of them",
                )
            lines[inner] = key.start_mark.line + 1
            _check(value, inner, name, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            _check(value, (*path, index), name, lines)
    elif node.tag == "tag:yaml.org,2002:int" and not _fits_64_bits(node.value):
        shown = node.value if len(node.value) <= 40 else f"{node.value[:37]}..."
        raise UserError(f"{here}: {'.'.join(map(str, path))}: an integer beyond 64 bits", received=shown)
    elif node.tag == "tag:yaml.org,2002:float" and not math.isfinite(
        float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))
    ):
        raise UserError(f"{here}: {'.'.join(map(str, path))}: not a finite number", received=node.value)
