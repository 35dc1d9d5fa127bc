"""A name means one thing: no two modules have a public name or a file name in common, but where that is the plan."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

import pytest

from tests.house.test_limits import EDGE, FILES

COMMANDS = ("cli/", "__main__.py")
"""A command's function and its file are named for the command, as is what it calls."""
FACES = {"__init__", "protocol", "open"}
"""A room's contract, and its table with the choice, have these names in every room."""


def public_names(source: str) -> Iterator[tuple[str, bool]]:
    """Names of the classes, types and functions that a module defines, and whether each is a function.

    Types are told by their capital letter. Constants don't count: they are read beside the module's own values.
    """
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names, is_function = [node.name], True
        elif isinstance(node, ast.ClassDef):
            names, is_function = [node.name], False
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names, is_function = [each.id for each in targets if isinstance(each, ast.Name)], False
            names = [name for name in names if name[0].isupper() and not name.isupper() and len(name) > 1]
        else:
            continue
        yield from ((name, is_function) for name in names if not name.startswith("_"))


def are_siblings(paths: Iterable[str]) -> bool:
    """Whether files are rows of one table: they lie in one folder that has a ``protocol.py`` or ``open.py``."""
    folders = {PurePosixPath(path).parent for path in paths}
    return len(folders) == 1 and any(
        (EDGE / folder / f"{face}.py").is_file() for folder in folders for face in FACES - {"__init__"}
    )


def names_that_stand_twice(sources: Mapping[str, str]) -> list[str]:
    """``sources``: text of each file, by its path under the package."""
    places: dict[str, dict[str, bool]] = defaultdict(dict)
    for path, source in sources.items():
        if not path.startswith(COMMANDS):
            for name, is_function in public_names(source):
                places[name][path] = is_function
    return [
        f"{name}: {', '.join(where)}"
        for name, where in sorted(places.items())
        if len(where) > 1 and not (all(where.values()) and are_siblings(where))
    ]


def files_that_stand_twice(paths: Iterable[str]) -> list[str]:
    """Files of one name may lie in one room only, in sister folders or one above: ``sources/opencv/source.py``.

    ``config/line.py`` declares what the room ``line`` is given, and so do its neighbours.
    """
    by_name: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in map(PurePosixPath, paths):
        declares = path.parts[0] == "config" and (EDGE / path.stem).is_dir()
        if path.stem not in FACES and path.parts[0] != "cli" and not declares:
            by_name[path.name].append(path.parent)
    return [
        f"{name}: {', '.join(map(str, folders))}"
        for name, folders in sorted(by_name.items())
        if len({folder.parts[0] if folder.parts else "." for folder in folders}) > 1
        or len({len(folder.parts) for folder in folders}) > 2
    ]


def test_no_public_name_stands_in_two_modules() -> None:
    sources = {path.relative_to(EDGE).as_posix(): path.read_text("utf-8") for path in FILES}
    assert names_that_stand_twice(sources) == []


def test_no_file_name_stands_in_two_rooms() -> None:
    assert files_that_stand_twice(path.relative_to(EDGE).as_posix() for path in FILES) == []


@pytest.mark.parametrize(
    ("sources", "twice"),
    [
        ({"line/a.py": "class Gap: ...", "wire/b.py": "class Gap: ..."}, ["Gap: line/a.py, wire/b.py"]),
        ({"line/a.py": "Size = tuple[int, int]", "wire/b.py": "class Size: ..."}, ["Size: line/a.py, wire/b.py"]),
        ({"line/a.py": "def run(): ...", "wire/b.py": "async def run(): ..."}, ["run: line/a.py, wire/b.py"]),
        ({"engines/a.py": "def load(): ...", "engines/b.py": "def load(): ..."}, []),
        ({"engines/a.py": "class Load: ...", "engines/b.py": "class Load: ..."}, ["Load: engines/a.py, engines/b.py"]),
        ({"regions/a.py": "def load(): ...", "regions/b.py": "def load(): ..."}, ["load: regions/a.py, regions/b.py"]),
        ({"cli/fit.py": "def fit(): ...", "models/fit/fit.py": "def fit(): ..."}, []),
        ({"line/a.py": "def _run(): ...\nSTEP_S = 1", "wire/b.py": "def _run(): ...\nSTEP_S = 2"}, []),
    ],
)
def test_a_name_that_stands_twice_is_found(sources: dict[str, str], twice: list[str]) -> None:
    assert names_that_stand_twice(sources) == twice


@pytest.mark.parametrize(
    ("paths", "twice"),
    [
        (["line/pace.py", "sources/pace.py"], ["pace.py: line, sources"]),
        (["frames.py", "line/frames.py"], ["frames.py: ., line"]),
        (["sources/genicam/source.py", "sources/opencv/source.py", "sources/source.py"], []),
        (["config/line.py", "line/line.py"], []),
        (["config/ring.py", "line/ring.py"], ["ring.py: config, line"]),
        (["line/open.py", "sources/open.py", "cli/fit.py", "models/fit.py"], []),
    ],
)
def test_a_file_that_stands_twice_is_found(paths: list[str], twice: list[str]) -> None:
    assert files_that_stand_twice(paths) == twice
