"""A package that is measured against: in an environment of its own, made on first use, talked to through a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any


def environment(requirement: str) -> Path:
    """The Python of an environment that holds ``requirement`` (``name==version``), in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = cache / "edge-inspect" / f"bench-{requirement.partition('==')[0]}"
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.exists() or stamp.read_text() != requirement:
        print(f"installing {requirement} in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        subprocess.run(pip, check=True)
        stamp.write_text(requirement)
    return python


def peer_or_none(requirement: str, script: str, *, smoke: bool) -> contextlib.AbstractContextManager[Peer | None]:
    """The peer, or None for a run that only shows that the bench works: nothing is installed then."""
    return contextlib.nullcontext(None) if smoke else Peer(requirement, script)


class Peer:
    """A script of this folder, run with the other environment's Python: one JSON object in, one out, line by line."""

    def __init__(self, requirement: str, script: str) -> None:
        self._process = subprocess.Popen(
            [environment(requirement), Path(__file__).with_name(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args[1]} ended; its error stands above")  # type: ignore[index]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Peer:  # noqa: PYI034  (typing.Self came with Python 3.11)
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
