"""The archive keeps the texts that made a record, by the hashes that stand in it: config, calibration, bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from edge.config.bundle import SPEC_NAME, spec_sha256
from edge.config.calibration import Calibration
from edge.config.load import ConfigTexts
from edge.errors import UserError
from edge.frames import RunIdentity
from edge.storage.disk import write_whole

log = structlog.get_logger()

FOLDER = "archive"


def archive(texts: ConfigTexts, identity: RunIdentity, folder: Path) -> int:
    """Write what isn't there yet into ``folder``/archive; return how many files were written.

    ``HASH.json``: the config in force, defaults filled in; the SHA-256 of its bytes is the record's ``config_sha256``.
    ``HASH.yaml``: the texts as people wrote them, comments and all, by the record's ``config_sha256`` (``--set`` in front),
    ``model.sha256`` (``bundle.yaml``) and ``calibration_sha256``. A file that was changed since it was loaded is left out,
    with a warning.

    Raises:
        OSError: for example, the disk is full.
    """
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    written = 0
    for name, text in _files(texts, identity):
        mode = secret_mode(texts.path) if name.startswith(identity.config_sha256) else None
        if not _is_there(place / name, text):
            write_whole(place / name, text, sync=True, mode=mode)
            written += 1
        elif mode is not None and (place / name).stat().st_mode & 0o777 & ~mode:  # an older version wrote it for all
            (place / name).chmod(mode)
    return written


def secret_mode(path: Path) -> int:
    """Return the mode for copies of a config: no more may read them than its file, as it may hold a camera's password."""
    try:
        return path.stat().st_mode & 0o640 | 0o600
    except OSError:
        return 0o600


def _is_there(path: Path, text: bytes) -> bool:
    """Whether the archive has this text. A power cut leaves empty files and pages of zeros, which are written again.

    A text with other comments is the same config, and stays.
    """
    try:
        kept = path.read_bytes()
    except FileNotFoundError:
        return False
    if path.suffix == ".json":
        return hashlib.sha256(kept).hexdigest() == path.stem
    return kept == text or bool(kept.strip() and b"\0" not in kept)


def _files(texts: ConfigTexts, identity: RunIdentity) -> Iterator[tuple[str, bytes]]:
    yield f"{identity.config_sha256}.json", texts.canonical
    yield f"{identity.config_sha256}.yaml", texts.written.encode()
    yield from _file(texts.bundle / SPEC_NAME, spec_sha256, identity.model_sha256)
    if identity.calibration_sha256 is not None and texts.calibration is not None:
        yield from _file(texts.calibration, _calibration_sha256, identity.calibration_sha256)


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
