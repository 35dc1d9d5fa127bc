"""A running line is found here by its config, its runtime folder or its endpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import orjson

from edge.client import check_endpoint
from edge.config.load import load_config
from edge.errors import UserError
from edge.service.runtime_folder import INSTANCE, found_folder, read_json
from edge.wire.keys import PUBLIC, SECRET, ClientKeys, client_keys


def find_endpoint(text: str, overrides: Sequence[str] = ()) -> str:
    """Return the endpoint itself, or the one in the endpoints.json of a config's daemon or of a runtime folder.

    ``overrides`` are keys of the config, as the daemon was started with.

    Raises:
        UserError: a path without a readable endpoints.json, or one that names no publisher; overrides of no config.
    """
    check_overrides(overrides, [text])
    path = Path(text)
    if not _is_path(text):
        return text
    if path.suffix in _CONFIGS:
        path = found_folder(load_config(path, overrides)) / "endpoints.json"
    elif os.path.isdir(path):
        path /= "endpoints.json"
    return _endpoint_in(path)


def follow_line(text: str, camera: str | None, overrides: Sequence[str] = ()) -> tuple[str, Callable[[], str]]:
    """Return the camera's name, and a function that says where its daemon publishes now, or raises UserError.

    ``text`` is as ``find_endpoint`` takes it. A config and a runtime folder name the camera; ``camera`` must agree.

    Raises:
        UserError: a config that can't be used, no endpoint, an endpoint without ``camera``, or a camera of another name.
    """
    check_overrides(overrides, [text])
    path = Path(text)
    if not _is_path(text):
        check_endpoint(text)
        if camera is None:
            raise UserError(
                "--camera is missing",
                received=text,
                expected="the camera's name too, because an endpoint doesn't tell it",
                fix="name the line's config (.yaml) in place of the endpoint",
            )
        return camera, lambda: text
    if path.suffix in _CONFIGS:
        loaded = load_config(path, overrides)
        known: str | None = loaded.config.camera
        find: Callable[[], str] = lambda: _endpoint_in(found_folder(loaded) / "endpoints.json")  # noqa: E731
    else:
        folder = path if os.path.isdir(path) else path.parent
        noted_camera = read_json(folder, INSTANCE).get("camera")
        known = noted_camera if isinstance(noted_camera, str) else camera
        find = partial(_endpoint_in, folder / "endpoints.json")
    if known is None:
        raise UserError("--camera is missing", received=f"{text}, which names none", expected="the camera's name too")
    if camera not in (None, known):
        raise UserError("--camera: not this line's camera", received=camera, expected=f"{known}, as {text} says")
    return known, find


_CONFIGS = (".yaml", ".yml")


def _is_path(text: str) -> bool:
    path = Path(text)
    if "://" in text or text.startswith(("tcp:", "ipc:")):
        return False
    return "/" in text or path.suffix in (".json", *_CONFIGS) or os.path.isdir(path)


def _endpoint_in(path: Path) -> str:
    try:
        endpoint = orjson.loads(path.read_bytes())["zmq"]
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}", fix="is the daemon running? Name its runtime folder"
        ) from None
    except (ValueError, KeyError, TypeError):
        endpoint = None
    if not isinstance(endpoint, str):
        raise UserError(f"{path}: names no ZeroMQ publisher", expected='a JSON object with the key "zmq"')
    return endpoint


def find_keys(endpoint: str, key: Path | None, server_key: Path | None, overrides: Sequence[str] = ()) -> ClientKeys | None:
    """Return the keys to connect with; None without ``key``. The daemon's is found in the config that ``endpoint`` may
    name.

    Raises:
        UserError: a file that holds no such key, a secret that others may read, or the daemon's key is not known.
    """
    if key is None:
        return None
    if server_key is None and Path(endpoint).suffix in (".yaml", ".yml"):
        loaded = load_config(Path(endpoint), overrides)
        curve = loaded.config.outputs.zmq and loaded.config.outputs.zmq.curve
        if curve:
            secret = loaded.resolve(curve.server_key)
            server_key = secret.with_name(secret.name.removesuffix(SECRET) + PUBLIC)
    if server_key is None:
        raise UserError("--key needs the daemon's public key too", fix="--server-key FILE.key")
    return client_keys(key, server_key)


def check_overrides(overrides: Sequence[str], named: Sequence[str]) -> None:
    """Raise UserError if there are overrides and nothing of what was ``named`` is a config."""
    if overrides and not any(name.endswith((".yaml", ".yml")) for name in named):
        raise UserError(
            "--set overrides a key of a line's config, and none is named",
            received=", ".join(named),
            expected="a line's config (.yaml)",
        )
