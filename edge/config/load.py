"""Configs are read here: YAML, ``--set`` overrides, validation, and errors that name file, line, key and what was
expected.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from edge.config.line import Config
from edge.config.validate import validate
from edge.config.yaml_reader import Lines, Section, parse_value, parse_yaml, read_yaml
from edge.errors import UserError

SectionT = TypeVar("SectionT", bound=Section)
_KEY = re.compile(r"([a-z_]+)(?:\.\w+|\[\d+\])*(?=: )")


@dataclass(frozen=True, slots=True)
class ConfigTexts:
    """A config's texts, and the places of those that it names, for the archive that keeps what made a record."""

    canonical: bytes
    """The effective config as JSON with sorted keys."""
    written: str
    """The text as people wrote it, each ``--set`` as a comment in front."""
    path: Path
    bundle: Path
    calibration: Path | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded config is valid; it knows the file that it came from, and keeps its text as it was read."""

    config: Config
    path: Path
    text: str
    overrides: tuple[str, ...] = ()
    lines: Lines = field(default_factory=dict, repr=False, compare=False)
    """Line numbers of the keys that the file itself gave."""

    @property
    def sha256(self) -> str:
        """Return the hash of the effective config: defaults filled in, ``--set`` applied; comments and the order of keys
        don't count.
        """
        return hashlib.sha256(self.canonical).hexdigest()

    @property
    def canonical(self) -> bytes:
        """Return the effective config as JSON with sorted keys; ``sha256`` is its hash."""
        return orjson.dumps(self.config.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    @property
    def texts(self) -> ConfigTexts:
        """Return the texts that make this line's records, with the paths of bundle and calibration as they are opened."""
        config = self.resolved
        overrides = "".join(f"# --set {item}\n" for item in self.overrides)
        return ConfigTexts(self.canonical, overrides + self.text, self.path, config.model.bundle, config.calibration)

    def located(self, error: UserError) -> UserError:
        """Return the error with file and line, if it begins with a key, as in ``source.features[1]: Wdth: ...``."""
        key = _KEY.match(error.what)
        if key is None or key[1] not in Config.model_fields:
            return error
        parts = tuple(int(part) if part.isdecimal() else part for part in re.findall(r"\w+", key[0]))
        return error.at(f"{self.path}:{self.lines[parts]}" if parts in self.lines else str(self.path))

    @property
    def resolved(self) -> Config:
        """Return the config with every path as the program opens it, for code that doesn't know where the file lies."""
        return _resolved(self.config, self.resolve)

    def resolve(self, path: Path) -> Path:
        """Return a path of the config as the program opens it: relative paths start from the config file's folder."""
        return (self.path.parent / path.expanduser()).absolute()


def _resolved(section: SectionT, resolve: Callable[[Path], Path]) -> SectionT:
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            changes[name] = resolve(value)
        elif isinstance(value, Section):
            changes[name] = _resolved(value, resolve)
    return section.model_copy(update=changes)


def load_config(path: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read a config, apply overrides such as ``regions.min_area_px=16``, and validate it.

    Raises:
        UserError: names file, line, key, what was received and what was expected; all errors at once.
    """
    data, lines, text = read_yaml(path)
    config = _config_of(data, lines, path, overrides)
    return Loaded(config, path, text, tuple(overrides), lines)


def parse_config(text: str, path: Path) -> Config:
    """Validate a text as if it stood in ``path``, which is not read. Raises UserError as ``load_config``."""
    data, lines = parse_yaml(text, str(path))
    return _config_of(data, lines, path, ())


def _config_of(data: Any, lines: Lines, path: Path, overrides: Sequence[str]) -> Config:
    if not isinstance(data, dict):
        raise UserError(f"{path}: not a config", received="an empty file" if data is None else "no mapping of keys")
    for item in overrides:
        _override(data, item, lines)
    try:
        return validate(Config, data, path, lines=lines, whole="config")
    except (orjson.JSONEncodeError, TypeError) as error:
        raise UserError(f"{path}: not a config: {error}") from None


def _override(data: dict[str, Any], item: str, lines: Lines) -> None:
    key, equals, value = item.partition("=")
    if not equals or not key:
        raise UserError("--set", received=item, expected="key=value, for example regions.min_area_px=16")
    keys = key.split(".")
    here: Any = data
    for depth, part in enumerate(keys[:-1], 1):
        if here.get(part) is None:
            here[part] = {}
        here = here[part]
        if not isinstance(here, dict):
            raise UserError(
                f"--set {item}: {part} is a {'list' if isinstance(here, list) else 'value'}, not a section",
                fix=_whole(keys, depth, value, here),
            )
    here[keys[-1]] = parse_value(value, tuple(keys))
    for path in [p for p in lines if all(a == b for a, b in zip(p, keys, strict=False))]:
        del lines[path]  # of the sections around it too: their line doesn't hold what is wrong with them


def _whole(keys: Sequence[str], depth: int, value: str, here: Any) -> str:
    """Say how to set what stands under a key that has no keys of its own now."""
    name = ".".join(keys[:depth])
    if isinstance(here, list):
        return f"a list is replaced whole: --set '{name}={_inline(here)}'"
    inner = value
    for key in reversed(keys[depth:]):
        inner = f"{{{key}: {inner}}}"
    return f"--set '{name}={inner}'"


def _inline(value: Any) -> str:
    """Return a value as ``--set`` takes it, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_inline(item)}' for key, item in value.items())}}}"
    return orjson.dumps(value).decode() if not isinstance(value, str) else value
