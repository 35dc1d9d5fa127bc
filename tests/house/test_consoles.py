"""No text of a user goes through rich's markup: one file makes the consoles, and nothing else reads markup."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.test_limits import EDGE, FILES

MAKER = "edge/cli/_console.py"
SCRIPTS = sorted((EDGE.parent / "scripts").rglob("*.py"))
NEEDED = {"Live": "console", "Progress": "console", "TextColumn": "markup"}
"""What these calls must say: without it they take rich's own console, or read markup."""
MARKUP = {"rich.markup", "rich.emoji"}
OWN_CONSOLES = {"print", "get_console", "inspect", "reconfigure"}
"""Names of ``rich`` itself that print to a console of its own."""


def consoles(source: str, name: str) -> Iterator[str]:
    """What would print markup, or on a console that was made elsewhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (
            node.module in MARKUP
            or (node.module == "rich" and {alias.name for alias in node.names} & (OWN_CONSOLES | {"markup", "emoji"}))
        ):
            yield f"{name}:{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == "rich" for alias in node.names):
            yield f"{name}:{node.lineno}: {ast.unparse(node)}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        needed = NEEDED.get(called)
        if (called == "Console" and name != MAKER) or called in ("from_markup", "render_markup"):
            yield f"{name}:{node.lineno}: {called}(...)"
        elif needed is not None and needed not in {keyword.arg for keyword in node.keywords}:
            yield f"{name}:{node.lineno}: {called}(...) without {needed}"


def _uses_rich(source: str) -> bool:
    return "from rich" in source or "import rich" in source


def test_every_console_is_made_in_one_place_and_nothing_reads_markup() -> None:
    sources = {str(path.relative_to(EDGE.parent)): path.read_text("utf-8") for path in [*FILES, *SCRIPTS]}
    rich = {name: source for name, source in sources.items() if _uses_rich(source)}
    assert [text for name, source in rich.items() for text in consoles(source, name)] == []
    assert len(rich) > 30


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("Console(highlight=False)", ["x.py:1: Console(...)"]),
        ("rich.console.Console()", ["x.py:1: Console(...)"]),
        ("from rich.console import Console\nc: Console", []),
        ("from rich.markup import escape", ["x.py:1: from rich.markup import escape"]),
        ("from rich import box, markup", ["x.py:1: from rich import box, markup"]),
        ("from rich import box", []),
        ("from rich import print", ["x.py:1: from rich import print"]),
        ("import rich.markup", ["x.py:1: import rich.markup"]),
        ("Text.from_markup(name)", ["x.py:1: from_markup(...)"]),
        ("Live(table)", ["x.py:1: Live(...) without console"]),
        ("Live(table, console=layout_console())", []),
        ("Progress(*columns)", ["x.py:1: Progress(...) without console"]),
        ("TextColumn('{task.description}')", ["x.py:1: TextColumn(...) without markup"]),
        ("TextColumn('{task.description}', markup=False)", []),
    ],
)
def test_what_would_print_markup_is_found(source: str, found: list[str]) -> None:
    assert list(consoles(source, "x.py")) == found
