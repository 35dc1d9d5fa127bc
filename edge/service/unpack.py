"""A packed line is unpacked, or refused whole: whoever made it, it writes into its folder alone and no more than it says.

Names lead nowhere else, there are no links, sizes are known before anything is written and held to, hashes are checked, and
the line must be one: its config valid, its bundle whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field, ValidationError

from edge.config.bundle import load_bundle
from edge.config.calibration import Calibration
from edge.config.load import Loaded, load_config
from edge.config.yaml_reader import Section
from edge.errors import UserError
from edge.service.pack import INDEX, MOST_FILES, why_no_name
from edge.storage.disk import space

MOST_GB: Final = 16.0
_INDEX_BYTES: Final = 8 << 20
_BLOCK: Final = 1 << 20
_SMALL_BYTES, _MOST_TIMES = 64 << 20, 100
"""Beyond so many bytes a file of zeros is refused: it packs to a thousandth."""
_REFUSED: Final = "a file that `edge pack` made"


class PackedFile(Section):
    """One file of a packed line."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PackIndex(Section):
    """``pack.json``: what a packed line holds."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    config: Annotated[str, Field(pattern=r"^[^/\\]+\.yaml$")]
    camera: str
    made_by: str
    created: str
    files: dict[str, PackedFile]


def unpack(path: Path, folder: Path, *, most_gb: float = MOST_GB) -> Loaded:
    """Unpack into a new or empty folder; return the line's config there.

    Raises:
        UserError: not a packed line, or one that is damaged, was tampered with or wants out of the folder; nothing is left
            behind then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there already", expected="a new folder, or an empty one", fix="give another -o")
    try:
        with zipfile.ZipFile(path) as pack_file:
            index = _index(path, pack_file)
            entries = _checked(path, pack_file, index, most_gb)
            whole = Path(os.path.abspath(folder))
            whole.parent.mkdir(parents=True, exist_ok=True)
            _check_room(folder, index, space(whole.parent)[0])
            scratch = Path(tempfile.mkdtemp(prefix=f".{whole.name}.", dir=whole.parent))
            try:
                scratch.chmod(0o755)  # the daemon runs as another user
                for name, entry in entries.items():
                    _write(path, pack_file, entry, scratch / name, index.files[name])
                _check_line(scratch, index)
                if whole.exists():
                    whole.rmdir()
                scratch.rename(whole)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a packed line, or a damaged one: {error}", expected=_REFUSED) from None
    except (NotImplementedError, RuntimeError) as error:  # compressed or encrypted in a way that the library doesn't know
        raise UserError(f"{path}: {error}", expected=_REFUSED) from None
    except OSError as error:
        raise UserError(f"{error.filename or path}: {error.strerror or error}") from None
    return load_config(folder / index.config)


def _check_room(folder: Path, index: PackIndex, free: int) -> None:
    needed = sum(file.bytes for file in index.files.values())
    if needed > free:
        raise UserError(f"{folder}: not enough room", received=f"{free / 1e9:.2f} GB", expected=f"{needed / 1e9:.2f} GB")


def _index(path: Path, pack_file: zipfile.ZipFile) -> PackIndex:
    try:
        entry = pack_file.getinfo(INDEX)
    except KeyError:
        raise UserError(f"{path}: holds no {INDEX}", expected=_REFUSED) from None
    if entry.file_size > _INDEX_BYTES or entry.flag_bits & 1:
        raise UserError(f"{path}: {INDEX} is too large or encrypted", expected=_REFUSED)
    with pack_file.open(entry) as stream:
        data = stream.read(_INDEX_BYTES + 1)
    try:
        document: Any = orjson.loads(data)
        return PackIndex.model_validate(document, strict=False)
    except (orjson.JSONDecodeError, ValidationError) as error:
        newer = (
            isinstance(error, ValidationError) and isinstance(document, dict) and document.get("schema", 1) not in (1, None)
        )
        why = f"schema {document['schema']} is newer than this installation" if newer else str(error).splitlines()[0]
        raise UserError(f"{path}: {INDEX}: {why}", expected=_REFUSED) from None


def _checked(path: Path, pack_file: zipfile.ZipFile, index: PackIndex, most_gb: float) -> dict[str, zipfile.ZipInfo]:
    """The entries by name, once all of them are known to be harmless. Raises UserError otherwise."""
    entries = [entry for entry in pack_file.infolist() if entry.filename != INDEX]
    names = [entry.filename for entry in entries]
    if len(names) > MOST_FILES:
        raise UserError(f"{path}: too many files", received=len(names), expected=f"at most {MOST_FILES}")
    if len({name.casefold() for name in names}) != len(names) or set(names) != set(index.files):
        odd = sorted(set(names) ^ set(index.files))
        listed = ", ".join(odd[:3]) or "a name that stands twice"
        raise UserError(f"{path}: what it holds is not what {INDEX} lists", received=listed, expected=_REFUSED)
    for entry in entries:
        why = _why_unsafe(entry, index.files[entry.filename])
        if why is not None:
            raise UserError(f"{path}: {entry.filename}: {why}", expected=_REFUSED)
    total = sum(file.bytes for file in index.files.values())
    if total > most_gb * 1e9:
        raise UserError(
            f"{path}: too large when unpacked",
            received=f"{total / 1e9:.1f} GB",
            expected=f"at most {most_gb:g} GB",
            fix="if you trust it: --most-gb",
        )
    if total > _SMALL_BYTES + _MOST_TIMES * path.stat().st_size:
        raise UserError(
            f"{path}: {total / path.stat().st_size:.0f} times larger when unpacked",
            expected=f"at most {_MOST_TIMES} times, as models and pictures are",
        )
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:  # entries that share bytes: a bomb
        raise UserError(f"{path}: its files overlap", expected=_REFUSED)
    if index.config not in index.files:
        raise UserError(f"{path}: its config {index.config} is not in it", expected=_REFUSED)
    return {entry.filename: entry for entry in entries}


def _why_unsafe(entry: zipfile.ZipInfo, listed: PackedFile) -> str | None:
    name, mode = entry.filename, entry.external_attr >> 16
    if name != entry.orig_filename:  # the library cuts it at a NUL
        return "a name that is no plain path"
    if (why := why_no_name(name)) is not None:
        return why
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return "a link or a special file"
    if entry.flag_bits & 1:
        return "encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed in another way"
    if entry.file_size != listed.bytes:
        return f"{entry.file_size} bytes, {INDEX} says {listed.bytes}"
    return None


def _write(path: Path, pack_file: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, listed: PackedFile) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with pack_file.open(entry) as source, target.open("xb") as file:
        while block := source.read(_BLOCK):
            size += len(block)
            if size > listed.bytes:
                raise UserError(f"{path}: {entry.filename}: more bytes than it says", expected=_REFUSED)
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != listed.sha256:
        raise UserError(
            f"{path}: {entry.filename}: is not the file that was packed",
            received=f"SHA-256 {digest.hexdigest()[:12]}...",
            expected=f"SHA-256 {listed.sha256[:12]}...",
            fix="copy it again, or pack the line again",
        )


def _check_line(folder: Path, index: PackIndex) -> None:
    """Raises UserError if the folder holds no whole line."""
    loaded = load_config(folder / index.config)
    config = loaded.resolved
    inside = {
        "model.bundle": config.model.bundle,
        "calibration": config.calibration,
        "model.sample_frames": config.model.sample_frames,
    }
    if config.regions.roi is not None:
        inside["regions.roi.mask"] = config.regions.roi.mask
    for key, place in inside.items():
        if place is not None and not Path(os.path.normpath(place)).is_relative_to(folder):
            raise UserError(f"{index.config}: {key}: lies outside the packed line", received=place, expected=_REFUSED)
    load_bundle(config.model.bundle)
    if config.calibration is not None:
        Calibration.load(config.calibration)
