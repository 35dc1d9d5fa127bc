"""A derived database holds what can be made again: it is written without waiting for the disk, and begun anew where it is
damaged, as it may be after the power failed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import structlog

from edge.errors import UserError
from edge.web.column_values import MOST_NUMBER

_WAIT_S, _READ_WAIT_S = 10.0, 2.0
log = structlog.get_logger()


def open_derived(path: Path, tables: str, layout: int) -> sqlite3.Connection:
    """Open a database to write, and make its ``tables``; a damaged one, or one of another ``layout``, is deleted first.

    Raises:
        sqlite3.Error: it can't be made.
        OSError: its folder can't be written.
    """
    try:
        return _opened(path, tables, layout)
    except sqlite3.OperationalError:  # locked, full, or not ours: not damaged
        raise
    except sqlite3.DatabaseError as error:
        log.warning("index_begun_anew", file=str(path), error=str(error))
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
        return _opened(path, tables, layout)


@contextlib.contextmanager
def read_derived(path: Path, what: str) -> Iterator[sqlite3.Connection]:
    """Open a database to read alone. ``what`` names it in messages: "the log's index".

    Raises:
        UserError: a number is larger than SQLite holds; it isn't there yet, which passes.
    """
    try:
        with contextlib.closing(_read_only(path)) as database:
            yield database
    except OverflowError:
        raise UserError("a number is too large", expected=f"at most {MOST_NUMBER}") from None
    except sqlite3.Error as error:
        raise UserError(f"{what} isn't there yet: {error}", fix="it is made in the background", passes=True) from None


def check_read_by_others(path: Path) -> None:
    """Look whether another process can read a database that this one has open, and may have in its own memory.

    Raises:
        sqlite3.DatabaseError: the file was damaged, emptied or deleted, so that it must be begun anew.
    """
    if not path.exists():
        raise sqlite3.DatabaseError(f"{path} was deleted")
    busy = contextlib.suppress(sqlite3.OperationalError)
    with busy, contextlib.closing(_read_only(path)) as database:
        ((tables,),) = database.execute("select count(*) from sqlite_master")
        if not tables:
            raise sqlite3.DatabaseError(f"{path} was emptied")


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_READ_WAIT_S)


@contextlib.contextmanager
def all_or_nothing(database: sqlite3.Connection) -> Iterator[None]:
    """Write all that happens inside, or nothing of it where that raises."""
    database.execute("begin")
    try:
        yield
        database.execute("commit")
    except BaseException:
        if database.in_transaction:  # a full disk may have ended it already
            database.execute("rollback")
        raise


def must_begin_anew(error: BaseException) -> bool:
    """Return True if an error says that the database is damaged: it must be opened anew, which begins it anew."""
    return type(error) is sqlite3.DatabaseError  # a value or a moment that is wrong has a class of its own


def _opened(path: Path, tables: str, layout: int) -> sqlite3.Connection:
    path.touch(mode=0o600)
    with contextlib.ExitStack() as undo:
        database = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_S)
        undo.callback(database.close)
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = off")
        (found,) = database.execute("pragma quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        ((version,),) = database.execute("pragma user_version")
        ((made,),) = database.execute("select count(*) from sqlite_master")
        if made and version != layout:
            raise sqlite3.DatabaseError(f"layout {version}, not {layout}")
        database.executescript(tables)
        database.execute(f"pragma user_version = {layout}")
        undo.pop_all()
    return database
