"""The texts that made a record, kept by the hashes that stand in it: config, calibration, bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from edge.config.bundle import SPEC_NAME, spec_sha256
from edge.config.calibration import Calibration
from edge.config.load import Loaded
from edge.errors import UserError
from edge.frames import RunIdentity
from edge.storage.disk import write_whole

log = structlog.get_logger()

FOLDER = "archive"


def archive(loaded: Loaded, identity: RunIdentity, folder: Path) -> int:
    """Write what isn't there yet into ``folder``/archive; returns how many files were written.

    ``HASH.json``: the config in force, defaults filled in; the SHA-256 of its bytes is the record's ``config_sha256``.
    ``HASH.yaml``: the texts as people wrote them, comments and all, by the record's ``config_sha256`` (``--set`` in front),
    ``model.sha256`` (``bundle.yaml``) and ``calibration_sha256``. A file that was changed since it was loaded is left out,
    with a warning.

    Raises:
        OSError: the disk is full, say.
    """
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    written = 0
    for name, text in _texts(loaded, identity):
        if not (place / name).exists():
            write_whole(place / name, text)
            written += 1
    return written


def _texts(loaded: Loaded, identity: RunIdentity) -> Iterator[tuple[str, bytes]]:
    yield f"{identity.config_sha256}.json", loaded.canonical
    overrides = "".join(f"# --set {item}\n" for item in loaded.overrides)
    yield f"{identity.config_sha256}.yaml", (overrides + loaded.text).encode()
    bundle = loaded.resolve(loaded.config.model.bundle) / SPEC_NAME
    yield from _file(bundle, spec_sha256, identity.model_sha256)
    if identity.calibration_sha256 is not None and loaded.config.calibration is not None:
        yield from _file(loaded.resolve(loaded.config.calibration), _calibration_sha256, identity.calibration_sha256)


def _file(path: Path, sha256: Callable[[Path], str], expected: str) -> Iterator[tuple[str, bytes]]:
    try:
        if sha256(path) == expected:
            yield f"{expected}.yaml", path.read_bytes()
            return
    except (UserError, OSError):
        pass
    log.warning("not_archived", file=str(path), reason="it was changed since it was loaded")


def _calibration_sha256(path: Path) -> str:
    return Calibration.load(path).sha256
