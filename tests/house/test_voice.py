"""The house speaks plain English, as far as a machine can hear it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

import edge
from tests.house.test_limits import EDGE, FILES

ROOT = EDGE.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = {path.stem if path.suffix else path.name for path in EDGE.iterdir() if not path.name.startswith("_")}
RIDDLE = re.compile(r"^(Of|As) ")
SAY = re.compile(r"""(, |[\]`"\d] )say([,.;:)]|$)""")
MODULE = re.compile(r"(?<![\w.:/-])edge((?:\.[a-z_]\w*)+)(?![\w/-])")
"""A dotted name that begins with the package; ``edge.yaml`` and the like are files."""


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring, those behind attributes among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, " ".join(node.value.value.split())


def riddles(source: str, name: str) -> Iterator[str]:
    """Docstrings that begin in the middle of a sentence, or end an example with a word behind it."""
    for line, text in docstrings(ast.parse(source)):
        if RIDDLE.match(text) or SAY.search(text):
            yield f"{name}:{line}: {text[:80]}"


def is_known(dotted: str) -> bool:
    """Whether ``edge.a.b`` is a module of the package, or a name that stands in one."""
    parts = dotted.split(".")[1:]
    if parts[0] not in ROOMS:
        return len(parts) == 1 and parts[0] in edge.__all__
    here, module = EDGE, None
    for index, part in enumerate(parts):
        if (here / part).is_dir():
            here = here / part
            module = here / "__init__.py"
        elif (here / f"{part}.py").is_file():
            module, here = here / f"{part}.py", here / part
        else:
            return module is not None and re.search(rf"\b{part}\b", module.read_text("utf-8")) is not None and index > 0
    return True


NO_MODULES = {"edge.recording", "edge.__version__", "edge.sysusers.conf", "edge.tmpfiles.conf", "edge.harvesters"}
"""A file format, a version, two files and the name of a log look like modules."""


def unknown_modules(text: str, name: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in MODULE.finditer(line):
            if match[0] not in NO_MODULES and not is_known(match[0]):
                yield f"{name}:{number}: {match[0]}"


PYTHON_FILE = re.compile(r"``?((?:[a-z_]\w*/)*[a-z_]\w*\.py)``?")
KNOWN_FILES = {
    path.relative_to(ROOT).as_posix() for name in ("edge", "scripts", "tests") for path in (ROOT / name).rglob("*.py")
}


def unknown_files(text: str, name: str) -> Iterator[str]:
    """Python files in backquotes that lie nowhere in this repository."""
    for match in PYTHON_FILE.finditer(text):
        if not any(known == match[1] or known.endswith(f"/{match[1]}") for known in KNOWN_FILES):
            yield f"{name}: {match[1]}"


def test_no_docstring_is_a_riddle() -> None:
    assert [text for path in FILES for text in riddles(path.read_text("utf-8"), str(path.relative_to(ROOT)))] == []


def test_every_module_that_a_text_names_is_there() -> None:
    texts = [(path.read_text("utf-8"), str(path.relative_to(ROOT))) for path in [*FILES, *PAGES]]
    assert [line for text, name in texts for line in unknown_modules(text, name)] == []
    assert [line for text, name in texts for line in unknown_files(text, name)] == []


@pytest.mark.parametrize(
    ("doc", "heard"),
    [
        ("Of the pictures that int8 takes.", True),
        ("As ``Blob``'s.", True),
        ("Providers, ``[CUDA]`` say.", True),
        ("A disk that is full, say.", True),
        ("Return what the files say.", False),
        ("Off by one.", False),
        ("Assign a number.", False),
        ("A call, for example ``close``.", False),
    ],
)
def test_a_riddle_is_heard(doc: str, heard: bool) -> None:
    assert bool(list(riddles(f'"""{doc}"""', "x.py"))) is heard


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("``edge.line.ring`` drops.", False),
        ("``edge.line.ring.Ring`` drops.", False),
        ("``edge.mapping`` maps.", True),
        ("``edge.line.lane`` overlaps.", True),
        ("``edge.frames.Frame``, and https://edge.example.org/edge.mapping", False),
    ],
)
def test_a_module_that_is_not_there_is_found(text: str, heard: bool) -> None:
    assert bool(list(unknown_modules(text, "x.py"))) is heard


@pytest.mark.parametrize(("text", "heard"), [("``config/line.py``", False), ("`ring.py`", False), ("``lane_of.py``", True)])
def test_a_file_that_is_not_there_is_found(text: str, heard: bool) -> None:
    assert bool(list(unknown_files(text, "x.py"))) is heard


def test_pages_and_files_are_looked_at() -> None:
    assert ROOT / "docs" / "architecture.md" in PAGES
    assert len(FILES) > 200
