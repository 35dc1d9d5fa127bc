"""The page's own files are opened here: nobody but the page's user reads them, and no link leads us to another file.

Root adds users to a page that another user runs and whose folder that user may write in: whatever stands there is not
trusted with root's rights.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def open_private(path: Path, flags: int) -> int:
    """Open or make ``path`` with mode 0600 and return its descriptor; made by root, it is its folder's owner's.

    Raises:
        OSError: it can't be opened, or it is a link, has a second name, or is no plain file, or belongs to a third user.
    """
    fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        folder, found = path.parent.stat(), os.fstat(fd)
        why = (
            "it is no plain file"
            if not stat.S_ISREG(found.st_mode)
            else "it has another name, too: a hard link"
            if found.st_nlink > 1
            else "it belongs to another user than its folder"
            if found.st_uid not in (os.geteuid(), folder.st_uid)
            else None
        )
        if why is not None:
            raise OSError(errno.EPERM, why, str(path))
        if os.geteuid() == 0:
            os.fchown(fd, folder.st_uid, folder.st_gid)
    except BaseException:
        os.close(fd)
        raise
    return fd
