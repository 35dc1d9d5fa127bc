"""Another program's JSON is read here: every key is taken once, checked for its type, and what nobody took is reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import orjson

from edge.errors import UserError


@dataclass(frozen=True, slots=True)
class Note:
    """A setting, what it was ``there``, what it is ``here`` (both as text; empty if ignored), and why."""

    key: str
    there: str
    here: str
    text: str


@dataclass(slots=True)
class ImportNotes:
    """Notes collect what an import must report."""

    differs: list[Note] = field(default_factory=list)
    ignored: list[Note] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def differ(self, key: str, there: object, here: object, why: str) -> None:
        """A setting that is taken over and means something else."""
        self.differs.append(Note(key, _shown(there), _shown(here), why))

    def ignore(self, key: str, why: str) -> None:
        """A setting that has no effect here."""
        self.ignored.append(Note(key, "", "", why))


class Json:
    """One object of the file. Getters raise UserError, naming file and key, for a value of another type."""

    def __init__(self, data: Mapping[str, Any], path: str, name: str) -> None:
        self._data = dict(data)
        self._path = path
        self._name = name

    def where(self, key: str) -> str:
        return f"{self._name}: {self._key(key)}"

    def take(self, key: str) -> Any:
        """The value, whatever it is; null where the key is missing."""
        return self._data.pop(key, None)

    def left(self) -> list[str]:
        """Keys that nobody took, with their paths."""
        return [self._key(key) for key in self._data]

    def section(self, key: str) -> Json:
        """An object; an empty one where it is missing or null."""
        value = self.take(key)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(key, value, "an object, {...}")
        return Json(value or {}, self._key(key), self._name)

    def number(self, key: str) -> float | None:
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._wrong(key, value, "a number or null")
        return float(value)

    def numbers(self, key: str, count: int) -> list[float] | None:
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count or any(type(v) not in (int, float) for v in value):
            raise self._wrong(key, value, f"{count} numbers, [...], or null")
        return [float(v) for v in value]

    @overload
    def integer(self, key: str, default: int) -> int: ...
    @overload
    def integer(self, key: str, default: None) -> int | None: ...
    def integer(self, key: str, default: int | None) -> int | None:
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
            raise self._wrong(key, value, "a whole number")
        return int(value)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def word(self, key: str, default: str, known: Sequence[str]) -> str:
        """One of ``known``; capitals, and - for _, make no difference."""
        value = self.take(key)
        if value is None:
            return default
        word = value.strip().lower().replace("-", "_") if isinstance(value, str) else ""
        if word not in known:
            raise self._wrong(key, value, f"one of {', '.join(known)}")
        return word

    def _key(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _wrong(self, key: str, value: object, expected: str) -> UserError:
        return UserError(self.where(key), received=_json(value), expected=expected)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return orjson.dumps(value, default=str).decode()
