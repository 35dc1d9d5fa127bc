"""A line is packed into one file: its config, bundle, calibration, mask picture and sample frames, each with its hash.

The file is a zip whose ``pack.json`` lists every other file with its size and SHA-256. In the config that lies in it, paths
of what is packed are relative; all else of it stays as it is written.
"""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from edge import __version__
from edge.config.bundle import SPEC_NAME, load_bundle
from edge.config.calibration import Calibration
from edge.config.edit_text import with_values
from edge.config.load import Loaded, parse_config
from edge.config.regions import RoiConfig
from edge.errors import UserError
from edge.storage.disk import whole_file
from edge.storage.recording import is_recording

INDEX: Final = "pack.json"
PACK_SCHEMA: Final = 1
MOST_FILES: Final = 10_000
"""Number of files that a packed line holds at most."""
_BLOCK: Final = 1 << 20
_STAMP: Final = (1980, 1, 1, 0, 0, 0)
"""Every entry has this time, so that the same line gives the same entries."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed: ``files`` maps names in the zip to bytes and SHA-256. ``outside`` has the keys whose paths stay the
    machine's own, with the paths.
    """

    path: Path
    files: dict[str, dict[str, Any]]
    outside: dict[str, str]


def pack(loaded: Loaded, out: Path, *, force: bool = False) -> Packed:
    """Pack a line that can run, as far as files go.

    Raises:
        UserError: ``out`` exists, a file is missing or not the one that it should be, the config's text can't be changed.
    """
    if out.exists() and not force:
        raise UserError(f"{out}: exists already", fix="choose another name, or give --force")
    names, values = _contents(loaded)
    _check_names(names)
    text = _text(loaded, values)
    files: dict[str, dict[str, Any]] = {}
    index: dict[str, Any] = {
        "schema": PACK_SCHEMA,
        "config": f"{loaded.path.stem}.yaml",
        "camera": loaded.config.camera,
        "made_by": f"edge {__version__}",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": files,
    }
    try:
        with whole_file(out) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as pack_file:
            _add_bytes(pack_file, files, str(index["config"]), text.encode())
            for name, path in names.items():
                _add_file(pack_file, files, name, path)
            pack_file.writestr(zipfile.ZipInfo(INDEX, _STAMP), orjson.dumps(index, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise UserError(f"{error.filename or out}: {error.strerror or error}") from None
    return Packed(out, files, outside_paths(loaded))


def _contents(loaded: Loaded) -> tuple[dict[str, Path], dict[tuple[str, ...], str]]:
    """The files by their names in the zip, and what stands in the config for those of other names."""
    config, names = loaded.resolved, dict[str, Path]()
    values: dict[tuple[str, ...], str] = {}
    bundle = load_bundle(config.model.bundle)
    place = f"models/{config.model.bundle.name}"
    values["model", "bundle"] = place
    names |= {f"{place}/{name}": bundle.folder / name for name in (SPEC_NAME, *bundle.spec.files)}
    if config.calibration is not None:
        calibration = Calibration.load(config.calibration)
        values["calibration",] = config.calibration.name
        names[config.calibration.name] = config.calibration
        if calibration.drift is not None:
            names[calibration.drift.file] = config.calibration.parent / calibration.drift.file
    roi = config.regions.roi
    if isinstance(roi, RoiConfig) and roi.mask is not None:
        values["regions", "roi", "mask"] = f"masks/{roi.mask.name}"
        names[f"masks/{roi.mask.name}"] = roi.mask
    if config.model.sample_frames is not None:
        values["model", "sample_frames"] = "sample_frames"
        names |= dict(_samples(config.model.sample_frames))
    return names, values


def _check_names(names: Mapping[str, Path]) -> None:
    """Raises UserError for what ``unpack`` would refuse: on the line's machine it is too late to find out."""
    if len(names) >= MOST_FILES:  # the config is one more
        raise UserError(
            "too many files to pack",
            received=len(names) + 1,
            expected=f"at most {MOST_FILES}",
            fix="keep fewer sample frames",
        )
    seen: dict[str, str] = {}
    for name, path in names.items():
        why = why_no_name(name)
        if why is not None:
            raise UserError(f"{_printable(path)}: {why}", fix="give the file another name")
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise UserError(f"{other} and {name}: differ in capitals alone", fix="give one of them another name")


def _printable(path: Path) -> str:
    """Return a path that can be printed, whatever bytes it has."""
    return str(path).encode(errors="backslashreplace").decode()


def why_no_name(name: str) -> str | None:
    """Say why a packed file can't have this name; None if it can."""
    if "\\" in name or ":" in name or any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in name):
        return "a name that is no plain path"
    if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        return "leads out of the folder, or is no file"
    return None


def _samples(folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        raise UserError(f"model.sample_frames: {folder} is no folder", fix="name the folder that holds the frames")
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    whole = is_recording(folder)
    for path in kept:
        if whole or not path.name.startswith("."):
            yield f"sample_frames/{path.relative_to(folder).as_posix()}", path


def _text(loaded: Loaded, values: dict[tuple[str, ...], str]) -> str:
    """The config's text with the values in their places. Raises UserError where they have none."""
    text, missing = with_values(loaded.text, values)
    config = parse_config(text, loaded.path)
    if missing or _others(config, values) != _others(loaded.config, values):
        keys_named = ", ".join(".".join(keys) for keys in missing) or "an override"
        raise UserError(
            f"{loaded.path}: the file does not say what is to be packed",
            received=f"{keys_named} from --set" if loaded.overrides else keys_named,
            fix="write it into the file first",
        )
    return text


def _others(config: Any, values: dict[tuple[str, ...], str]) -> Any:
    """All of a config but what is given new values."""
    data = config.model_dump(mode="json")
    for *above, last in values:
        here = data
        for key in above:
            here = here[key] or {}
        here.pop(last, None)
    return data


def outside_paths(loaded: Loaded) -> dict[str, str]:
    """Return the keys of the config whose paths are this machine's: they must be right on the other one, too."""
    return dict(_paths("", loaded.config.model_dump(exclude={"calibration"}, exclude_none=True)))


def _paths(under: str, section: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        name = f"{under}{key}"
        if isinstance(value, dict):
            yield from _paths(f"{name}.", value)
        elif isinstance(value, Path) and name not in ("model.bundle", "model.sample_frames", "regions.roi.mask"):
            yield name, str(value)


def _add_bytes(pack_file: zipfile.ZipFile, files: dict[str, dict[str, Any]], name: str, data: bytes) -> None:
    pack_file.writestr(_entry(name), data)
    _note(files, name, len(data), hashlib.sha256(data).hexdigest())


def _add_file(pack_file: zipfile.ZipFile, files: dict[str, dict[str, Any]], name: str, path: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source, pack_file.open(_entry(name), "w", force_zip64=True) as target:
        while block := source.read(_BLOCK):
            digest.update(block)
            size += len(block)
            target.write(block)
    _note(files, name, size, digest.hexdigest())


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _STAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    return entry


def _note(files: dict[str, dict[str, Any]], name: str, size: int, sha256: str) -> None:
    if name in files:
        raise UserError(f"{name}: two files of the line have this name", fix="give one of them another name")
    files[name] = {"bytes": size, "sha256": sha256}
