"""A bundle's folder is written whole or not at all, and never over something else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import onnx

from edge.config.bundle import MODEL_NAME, SPEC_NAME, Bundle, load_bundle, sha256_of, tensors
from edge.config.bundle_spec import BundleSpec
from edge.config.yaml_reader import dump_yaml
from edge.errors import UserError

_DATA_NAME = "model.onnx.data"
_ONE_FILE_BYTES = 2_000_000_000
"""Protocol buffers end at 2 GiB; weights above this go into a file of their own."""


def write_bundle(
    folder: Path,
    model: onnx.ModelProto,
    spec: BundleSpec,
    *,
    force: bool = False,
    files: Mapping[str, bytes] | None = None,
) -> Bundle:
    """Write a new bundle and load it again; ``spec.files`` is filled in. Whoever reads sees the old folder or the new one.

    ``files``: others that belong into it, by their names.

    Raises:
        UserError: ``folder`` exists and is no bundle, or is one and ``force`` is false; it cannot be written.
    """
    check_target(folder, force=force)

    def fill(scratch: Path) -> None:
        _save_model(model, scratch)
        for name, data in (files or {}).items():
            (scratch / name).write_bytes(data)
        whole = spec.model_copy(update={"files": {p.name: sha256_of(p) for p in sorted(scratch.iterdir())}})
        (scratch / SPEC_NAME).write_text(dump_yaml(whole.model_dump(mode="json", by_alias=True)), "utf-8")

    put_in_place(folder, fill)
    return load_bundle(folder)


def put_in_place(folder: Path, fill: Callable[[Path], None]) -> None:
    """Let ``fill`` write all files of a bundle into a new folder, then exchange it for ``folder`` at once.

    Raises:
        UserError: it cannot be written.
    """
    target = Path(os.path.realpath(folder))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        scratch.chmod(0o755)  # mkdtemp's 0700 would hide the model from the daemon's user
        fill(scratch)
        for file in scratch.rglob("*"):
            if file.is_file():
                _sync(file)
        _swap(scratch, target)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check_target(folder: Path, *, force: bool) -> None:
    """Refuse a folder that a bundle must not replace; asked before the work, and again by ``write_bundle``."""
    try:
        if folder.is_dir() and (folder / SPEC_NAME).is_file():
            if not force:
                raise UserError(
                    f"{folder}: there is a bundle already", fix="give --force to replace it, or name another folder"
                )
        elif folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UserError(
                f"{folder}: exists and is no bundle, so it is not replaced",
                expected="a new folder, an empty one, or a bundle",
                fix="name another folder",
            )
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from None


def _save_model(model: onnx.ModelProto, folder: Path) -> None:
    if sum(len(t.raw_data) for t in tensors(model.graph)) < _ONE_FILE_BYTES:
        (folder / MODEL_NAME).write_bytes(model.SerializeToString())
    else:
        onnx.save_model(model, folder / MODEL_NAME, save_as_external_data=True, location=_DATA_NAME)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(new: Path, target: Path) -> None:
    """Put ``new`` at ``target``; what was there is deleted, or comes back if the exchange fails half way."""
    if not target.exists():
        new.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old)  # rename replaces an empty folder
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
