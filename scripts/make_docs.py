#!/usr/bin/env python3
"""Reference pages from the code: docs/config.md from the config's models, docs/commands.md from the command line,
docs/schema.json from the messages, configs/line.schema.json for editors.

`scripts/make_docs.py` writes them; a test fails when they are not up to date.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edge.cli import app
from edge.config.editor_schema import editor_schema
from edge.config.line import Config
from edge.config.web import WebConfig
from edge.config.yaml_reader import Section
from edge.wire.schema import SCHEMA

ROOT = Path(__file__).parents[1]
MADE = "<!-- made by scripts/make_docs.py; edit the docstrings in the code instead -->\n"


def config_page() -> str:
    lines = [
        "# Every key of a line's config\n",
        MADE,
        "One YAML file per camera, with the scalars of YAML 1.2 (`On` and `off` are text). Unknown and duplicate keys are",
        "refused. `edge check FILE` validates; `--set regions.min_area_px=16` overrides one key, on every command that",
        "takes a config with -c or as its argument.\n",
    ]
    lines += tables(Config, "Top level", "`{}`")
    lines += ["# The page's own file\n", "`edge web -c web.yaml`; without it every key has its default.\n"]
    lines += tables(WebConfig, "Top level of web.yaml", "`{}` of web.yaml")
    return "\n".join(lines)


def tables(whole: type[Section], top: str, title: str) -> Iterator[str]:
    """One table per section."""
    for prefix, model in sections(whole, ""):
        yield f"## {title.format(prefix) if prefix else top}\n"
        yield " ".join((model.__doc__ or "").split()) + "\n"
        yield from ("| key | type | default | meaning |", "|---|---|---|---|")
        for name, field in model.model_fields.items():
            yield f"| `{name}` | {type_text(field)} | {default_text(field)} | {cell(field.description or '')} |"
        yield ""


def sections(model: type[Section], prefix: str) -> Iterator[tuple[str, type[Section]]]:
    """Every section with the path of its key, depth first; the branches of a union one after the other."""
    yield prefix, model
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            path = f"{prefix}.{name}" if prefix else name
            kind = inner.model_fields.get("kind")
            if kind is not None and len(models_in(field.annotation)) > 1:
                path += f" (kind: {typing.get_args(kind.annotation)[0]})"
            yield from sections(inner, path)


def models_in(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [m for inner in typing.get_args(annotation) for m in models_in(inner)]


def type_text(field: FieldInfo) -> str:
    kinds = ("Ge", "Gt", "Le", "Lt")
    # 3e38 only keeps a number inside float32
    limits = " ".join(str(m) for m in field.metadata if type(m).__name__ in kinds and "e+38" not in str(m))
    for old, new in (("Ge(ge=", ">= "), ("Gt(gt=", "> "), ("Le(le=", "<= "), ("Lt(lt=", "< "), (")", "")):
        limits = limits.replace(old, new)
    return cell(f"{of(field.annotation)} {limits}".strip())


def of(annotation: Any) -> str:
    """A type as a person writes it in YAML."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(of(i) for i in inner))
    if origin is typing.Annotated:
        return of(inner[0])
    if origin in (tuple, list):
        parts = [i for i in inner if i is not Ellipsis]
        return f"list of {of(parts[0])}" if len(parts) < len(inner) or origin is list else f"[{', '.join(map(of, parts))}]"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "section"
    names = {"int": "integer", "float": "number", "str": "text", "bool": "true or false", "Path": "path"}
    return names.get(getattr(annotation, "__name__", ""), str(annotation))


def default_text(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    value = field.default
    if value is None:
        return "null"
    if isinstance(value, Section):
        return "see there"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def commands_page() -> str:
    lines = ["# Every command\n", MADE]
    group: Any = typer.main.get_command(app)
    for path, command in walk(group, "edge"):
        lines += [f"## `{path}`\n", " ".join((command.help or "").split()) + "\n"]
        lines += ["| argument | default | meaning |", "|---|---|---|"]
        for parameter in command.params:
            option = parameter.param_type_name == "option"
            argument = (parameter.metavar or parameter.name or "").upper()
            names = ", ".join(f"`{o}`" for o in parameter.opts) if option else f"`{argument}`"
            silent = parameter.default in (None, False, ())
            default = "required" if parameter.required else "" if silent else f"`{parameter.default}`"
            lines.append(f"| {names} | {default} | {cell(getattr(parameter, 'help', '') or '')} |")
        lines.append("")
    return "\n".join(lines)


def walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield f"{prefix} {name}", command
            yield from walk(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def schema_page() -> str:
    return json.dumps(SCHEMA, indent=2) + "\n"


PAGES = {
    "docs/config.md": config_page,
    "docs/commands.md": commands_page,
    "docs/schema.json": schema_page,
    "configs/line.schema.json": editor_schema,
}


def main() -> None:
    for name, page in PAGES.items():
        path = ROOT / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(page(), encoding="utf-8")
        print(name, file=sys.stderr)


if __name__ == "__main__":
    main()
