"""Another user may make a folder or a file first at a place that can be guessed, so its owner is checked here."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path


def why_not_ours(folder: Path, *, group_may_write: bool = False) -> str | None:
    """Say why somebody else could put files into ``folder`` in our place; None if only this user and root can.

    A link is none of ours, wherever it leads: who made it can turn it. A folder that isn't there is no danger.
    """
    try:
        found = folder.lstat()
    except OSError:
        return None
    if stat.S_ISLNK(found.st_mode):
        return f"{folder} is a symbolic link"
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is a file, not a folder"
    if found.st_uid not in (0, os.geteuid()):
        return f"{folder} belongs to {_user(found.st_uid)}"
    if found.st_mode & stat.S_IWOTH:
        return f"every user may write in {folder}"
    if found.st_mode & stat.S_IWGRP and not group_may_write:
        return f"its group may write in {folder}"
    return None


def why_not_our_file(fd: int, path: Path) -> str | None:
    """Say why an open file is another one than what we would have made at ``path``; None if it is ours."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        return f"{path} is no plain file"
    if found.st_nlink > 1:
        return f"{path} has another name, too: it is a hard link"
    if found.st_uid != os.geteuid():
        return f"{path} belongs to {_user(found.st_uid)}"
    return None


def _user(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
