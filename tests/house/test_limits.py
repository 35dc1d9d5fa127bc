"""The house keeps its measures: short files, short functions, calls that can be read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

EDGE = Path(__file__).parents[2] / "edge"
FILES = sorted(EDGE.rglob("*.py"))
MOST_LINES, MOST_IN_A_FUNCTION, MOST_POSITIONAL, MOST_IN_A_LOOP = 350, 60, 6, 40


def too_long(tree: ast.AST, name: str, limit: int = MOST_IN_A_FUNCTION) -> Iterator[str]:
    """Functions over ``limit`` lines, their docstrings and blank lines included.

    Of a command its signature doesn't count: it is the table of its options.
    """
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            begin = node.body[0].lineno if name.startswith("edge/cli/") else node.lineno
            if (lines := node.end_lineno - begin + 1) > limit:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines, {limit} at most"


VARIADIC = {"add_row", "_table"}
"""They take a list, one value after the other."""


def too_many_positional(tree: ast.AST, name: str) -> Iterator[str]:
    """Calls of more than six values whose names the reader must look up."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] in VARIADIC:
            continue
        if len(node.args) > MOST_POSITIONAL:
            yield f"{name}:{node.lineno}: {ast.unparse(node.func)}(...) has {len(node.args)} positional values"


def sniffed(tree: ast.AST, name: str) -> Iterator[str]:
    """``getattr`` with a default: an optional method that a base class should have with an empty body."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3):
            yield f"{name}:{node.lineno}: {ast.unparse(node)}"


def parsed(files: list[Path]) -> Iterator[tuple[ast.AST, str]]:
    for path in files:
        yield ast.parse(path.read_text("utf-8")), str(path.relative_to(EDGE.parent))


def test_no_file_is_over_350_lines() -> None:
    lengths = {str(path.relative_to(EDGE)): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_function_is_over_60_lines() -> None:
    beyond = [text for tree, name in parsed(FILES) for text in too_long(tree, name)]
    assert beyond == []


def test_no_call_has_more_than_6_positional_values() -> None:
    beyond = [text for tree, name in parsed(FILES) for text in too_many_positional(tree, name)]
    assert beyond == []


def test_no_optional_method_of_a_sink_is_found_by_its_name() -> None:
    files = [path for path in FILES if "outputs" in path.parts]
    assert [text for tree, name in parsed(files) for text in sniffed(tree, name)] == []


def test_the_stages_begin_with_their_three_loops_of_at_most_40_lines() -> None:
    ((tree, name),) = parsed([EDGE / "line" / "stages.py"])
    assert isinstance(tree, ast.Module)
    defined = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert defined[:3] == ["acquire_loop", "infer_loop", "judge_loop"]
    assert list(too_long(tree, name, MOST_IN_A_LOOP)) == []


@pytest.mark.parametrize(
    ("code", "check", "text"),
    [
        ("f(1, 2, 3, 4, 5, 6, 7)", too_many_positional, "x.py:1: f(...) has 7 positional values"),
        ("f(1, 2, 3, 4, 5, 6)", too_many_positional, None),
        ("def f():\n" + "    pass\n" * 60, too_long, "x.py:1: f has 61 lines, 60 at most"),
        ("def f():\n" + "    pass\n" * 59, too_long, None),
        ("getattr(sink, 'idle', None)", sniffed, "x.py:1: getattr(sink, 'idle', None)"),
        ("hasattr(sink, 'idle')", sniffed, "x.py:1: hasattr(sink, 'idle')"),
        ("getattr(sink, name)", sniffed, None),
    ],
)
def test_what_is_beyond_a_measure_is_found(code: str, check: object, text: str | None) -> None:
    assert callable(check)
    assert list(check(ast.parse(code), "x.py")) == ([] if text is None else [text])
