"""Whether a Ray cluster answers, within 10 s: Ray itself tries for minutes before it says that nobody is there."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time

from edge.errors import UserError

LIMIT_S = 10.0
"""From the moment on that Ray is loaded in the process that asks."""
_LOAD_S = 60.0
"""For Ray to be loaded there; 2 s on a quiet machine."""
_CONNECT_S = 5.0
_LOADED, _CONNECTED = "edge: loaded\n", "edge: connected\n"
_REFUSED = ("Unauthenticated", "InvalidAuthToken", "AuthenticationError")
"""In what Ray writes when the token is missing or another."""
_ASK = """
import sys
import ray
print("edge: loaded", flush=True)
ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
print("edge: connected", flush=True)
ray.shutdown()
"""


def expect_cluster(address: str) -> None:
    """Ask the cluster at ``address`` from a process of its own, which is stopped when it takes too long.

    Raises:
        UserError: the address is none, nobody answers there, what answers is no Ray cluster, or it refuses the token.
    """
    if address == "local":
        return
    if address != "auto":
        _expect_port(address)
    error, connected = _asked(address)
    lines = [line.strip() for line in error.replace(_LOADED, "").splitlines() if line.strip()]
    if connected:
        return
    if any(sign in error for sign in _REFUSED):
        given = os.environ.get("RAY_AUTH_MODE") == "token"
        raise UserError(
            f"--cluster {address}: the cluster refuses the token",
            received="another token than the cluster's" if given else "no token",
            expected="RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH with the cluster's token",
        )
    if address == "auto":
        raise UserError(
            "--cluster auto: no Ray cluster runs on this machine",
            fix="start one with: ray start --head; or name another machine's: --cluster HOST:PORT",
        )
    raise UserError(
        f"--cluster {address}: what answers there is no Ray cluster that this version can join",
        received=lines[-1][:200] if lines else f"no answer within {LIMIT_S:g} s",
        fix="name the port that `ray start --head` printed, and use one version of Ray everywhere",
    )


def _expect_port(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError("--cluster", received=address, expected="HOST:PORT, ray://HOST:PORT, auto or local")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise UserError(
            f"--cluster {address}: nobody answers there",
            received=error.strerror or str(error),
            fix="start its head with: ray start --head, and name the address that it prints",
        ) from None


def _asked(address: str) -> tuple[str, bool]:
    """What the process that asks had to say, and whether it was connected."""
    environment = {"RAY_USAGE_STATS_ENABLED": "0"} | os.environ
    heard, loaded, end = "", False, time.monotonic() + _LOAD_S
    with subprocess.Popen(
        [sys.executable, "-c", _ASK, address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        assert process.stdout is not None
        while (left := end - time.monotonic()) > 0 and not _is_settled(heard):
            if not select.select([process.stdout], [], [], left)[0]:
                break
            more = os.read(process.stdout.fileno(), 65536)
            if not more:
                break
            heard += more.decode("utf-8", "replace")
            if not loaded and _LOADED in heard:
                loaded, end = True, time.monotonic() + LIMIT_S
        process.kill()
    return heard, _CONNECTED in heard


def _is_settled(heard: str) -> bool:
    return _CONNECTED in heard or any(sign in heard for sign in _REFUSED)
