"""We own our listening sockets and give libzmq copies, so that a name of ours is never free while the daemon lives.

Libzmq can only bind anew to end all sessions, and between its two binds any user of the machine could take the port, and
publish passes in our name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket as sockets
import stat
import struct
from pathlib import Path

from edge.errors import ExitCode, UserError, may_pass
from edge.storage.disk import cannot_be_written, lock_file

SOCKET_MODE = 0o660
"""Mode of an ipc socket: its folder decides who may connect. Connecting takes the right to write."""
_BACKLOG = 100
_IPC_PATH_MAX = 107  # sockaddr_un.sun_path without its last zero
_SIOCGIFADDR = 0x8915  # netdevice(7)

_FIX = {
    errno.EADDRINUSE: "stop the program that has it, or choose another; tcp port 0 takes any free one",
    errno.EADDRNOTAVAIL: "use an address that this machine has, for example 127.0.0.1",
    errno.EACCES: "choose a port above 1023 or a folder that this user may write",
    errno.EINVAL: "write ipc://PATH or tcp://127.0.0.1:PORT",
}


class ListeningSocket:
    """A listener is a socket that listens at ``endpoint`` until it is closed. ``key`` names the endpoint in errors.

    Raises:
        UserError: in use, no such address, a path that is too long, not writable or not ours to take. What may end by
            itself has ``passes``.
    """

    def __init__(self, endpoint: str, key: str) -> None:
        self._lock: int | None = None
        self._path: Path | None = None
        self._inode = 0
        self.endpoint = endpoint
        """Where it listens, with the port that was chosen for port 0."""
        scheme, _, place = endpoint.partition("://")
        try:
            if scheme == "ipc":
                self._path = Path(place)
                self._lock = _own_path(self._path, endpoint, key)
                self._socket = self._at_path(self._path)
            else:
                self._socket = _at_address(place)
                self.endpoint = _address_of(self._socket)
        except OSError as error:
            self._release()
            number = error.errno or 0
            code = errno.errorcode.get(number, "no such address")
            raise UserError(
                f"{key}: {endpoint} cannot be bound: {os.strerror(number) if number > 0 else error.strerror} ({code})",
                fix=_FIX.get(number),
                passes=may_pass(error) or isinstance(error, sockets.gaierror),
            ) from None

    def copy(self) -> int:
        """Return a descriptor for libzmq, which closes it."""
        return os.dup(self._socket.fileno())

    def close(self) -> None:
        """Give the name back."""
        if self._path is not None:
            try:  # the file itself, unless somebody put another one in its place
                if self._path.lstat().st_ino == self._inode:
                    self._path.unlink()
            except OSError:
                pass
        self._socket.close()
        self._release()

    def _at_path(self, path: Path) -> sockets.socket:
        found = sockets.socket(sockets.AF_UNIX)
        try:
            found.setblocking(False)
            path.unlink(missing_ok=True)
            os.fchmod(found.fileno(), SOCKET_MODE)  # bind(2) makes the file with it, less the umask
            found.bind(os.fspath(path))
            path.chmod(SOCKET_MODE)
            self._inode = path.lstat().st_ino
            found.listen(_BACKLOG)
        except OSError:
            found.close()
            raise
        return found

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def _at_address(place: str) -> sockets.socket:
    host, _, port = place.rpartition(":")
    family = sockets.AF_INET6 if "[" in place else sockets.AF_INET
    found = sockets.socket(family)
    try:
        found.setblocking(False)
        found.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)  # as libzmq does
        if family == sockets.AF_INET6:
            found.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY, int(host != "[::]"))
        found.bind((_numeric(found, host.strip("[]"), int(port)), int(port)))
        found.listen(_BACKLOG)
    except (OSError, OverflowError):
        found.close()
        raise
    return found


def _numeric(found: sockets.socket, host: str, port: int) -> str:
    """Return the address of a name, of a network interface, or of all of them (``*``)."""
    if host == "*":
        return "0.0.0.0"  # noqa: S104  (asked for, and only with keys)
    if host in {name for _, name in sockets.if_nameindex()}:
        answer = fcntl.ioctl(found.fileno(), _SIOCGIFADDR, struct.pack("256s", host.encode()[:15]))
        return sockets.inet_ntoa(answer[20:24])
    return str(sockets.getaddrinfo(host, port, found.family, sockets.SOCK_STREAM)[0][4][0])


def _address_of(found: sockets.socket) -> str:
    host, port = found.getsockname()[:2]
    return f"tcp://[{host}]:{port}" if found.family == sockets.AF_INET6 else f"tcp://{host}:{port}"


def _own_path(path: Path, endpoint: str, key: str) -> int:
    """Make sure that nobody else has the path. Whatever lies there would be deleted, even another daemon's live socket.

    Returns a descriptor that holds ``PATH.lock``, so that of two daemons that start at once one is refused.
    """
    size = len(os.fsencode(path))
    if size > _IPC_PATH_MAX:
        raise UserError(
            f"{key}: {endpoint}: the path is too long for a socket",
            received=f"{size} bytes",
            expected=f"at most {_IPC_PATH_MAX}",
            fix="choose a shorter runtime_dir or bind",
        )
    folder = path.parent
    if not folder.is_dir():
        raise UserError(
            f"{key}: {endpoint}: there is no folder {folder}", fix="make the folder, or choose another", passes=True
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"{key}: {endpoint}: the folder {folder} is not writable", fix="choose a folder that this user may write"
        )
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UserError(f"{key}: {endpoint}: {path} is there and is no socket", fix="choose another path")
    except FileNotFoundError:
        pass
    taken = UserError(
        f"{key}: {endpoint} cannot be bound: another program has it",
        fix=_FIX[errno.EADDRINUSE],
        exit_code=ExitCode.LOCKED,
    )
    try:
        lock = lock_file(Path(f"{path}.lock"), lambda: taken)
    except OSError as error:
        raise cannot_be_written(path.parent, error) from None
    if _answers(path):
        os.close(lock)
        raise taken
    return lock


def _answers(path: Path) -> bool:
    """Return True if somebody listens at the socket ``path``; a socket that nobody has open was left by a killed
    process.
    """
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True
