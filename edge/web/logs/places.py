"""A line's own config says where its log and its evidence lie; the page reads both and writes in neither."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge.config.load import load_config
from edge.errors import UserError
from edge.service.instances import Instance
from edge.storage.archive import FOLDER

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class KeptPlaces:
    """A line keeps its records in ``log``, pictures in ``evidence``; None if the config has no such output."""

    log: Path | None
    evidence: Path | None


def kept_places(instance: Instance) -> KeptPlaces:
    """Return where a line keeps what it made. Raises UserError: its config can't be read."""
    if instance.config is None:
        return KeptPlaces(None, None)
    outputs = load_config(instance.config, instance.overrides).resolved.outputs
    return KeptPlaces(
        None if outputs.jsonl is None else outputs.jsonl.dir, None if outputs.evidence is None else outputs.evidence.dir
    )


def archived(log: Path, sha256: str) -> str:
    """Return the text of a config, bundle or calibration by its hash, from the archive beside the log.

    Raises:
        UserError: no hash, or the archive has no such text that this user may read.
    """
    if not _HASH.fullmatch(sha256):
        raise UserError("hash", received=sha256[:80], expected="64 lower-case hexadecimal digits, as records have them")
    for suffix in (".yaml", ".json"):
        try:
            return (log / FOLDER / f"{sha256}{suffix}").read_text("utf-8")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{sha256[:12]}: cannot be read: {error.strerror}", passes=True) from None
    raise UserError(f"{sha256[:12]}: the archive has no such text", expected="config, model or calibration of a record")
