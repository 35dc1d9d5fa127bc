"""A cluster that can't be worked on is refused in words, and soon."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from edge.errors import UserError
from edge.spread import reach
from edge.spread.reach import expect_cluster


@pytest.mark.parametrize("address", ["10.0.0.1", "host:", ":80", "host:port", "host:0", "host:70000", "ray://host"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UserError) as caught:
        expect_cluster(address)
    assert str(caught.value) == (f"--cluster\n  received: {address}\n  expected: HOST:PORT, ray://HOST:PORT, auto or local")


def test_nobody_at_that_port_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: a connection is refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError) as caught:
            expect_cluster(address)
    assert str(caught.value) == (
        f"--cluster {address}: nobody answers there\n"
        "  received: Connection refused\n"
        "  fix: start its head with: ray start --head, and name the address that it prints"
    )


def asked(monkeypatch: pytest.MonkeyPatch, code: str, limit_s: float = 10) -> None:
    """Let this stand in for the process that asks Ray."""
    monkeypatch.setattr(reach, "_ASK", code)
    monkeypatch.setattr(reach, "LIMIT_S", limit_s)


def test_a_cluster_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, "print('edge: loaded'); print('edge: connected', flush=True); import time; time.sleep(30)")
    began = time.monotonic()
    expect_cluster("auto")
    assert time.monotonic() - began < 20, "nobody waits for the process that asked"


@pytest.mark.parametrize(("mode", "received"), [("token", "another token than the cluster's"), ("", "no token")])
def test_a_token_that_is_refused_is_said_while_ray_still_tries(
    monkeypatch: pytest.MonkeyPatch, mode: str, received: str
) -> None:
    words = "Failed to get cluster ID from GCS server: Unauthenticated: RPC error: InvalidAuthToken"
    asked(monkeypatch, f"print('edge: loaded'); print({words!r}, flush=True); import time; time.sleep(30)")
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(UserError) as caught:
        expect_cluster("auto")
    assert str(caught.value) == (
        "--cluster auto: the cluster refuses the token\n"
        f"  received: {received}\n"
        "  expected: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH with the cluster's token"
    )


def test_what_answers_but_is_no_cluster_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, "print('edge: loaded', flush=True); import time; time.sleep(30)", limit_s=0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError) as caught:
            expect_cluster(address)
    assert str(caught.value) == (
        f"--cluster {address}: what answers there is no Ray cluster that this version can join\n"
        "  received: no answer within 0.3 s\n"
        "  fix: name the port that `ray start --head` printed, and use one version of Ray everywhere"
    )


def test_no_cluster_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(
        monkeypatch, "print('edge: loaded'); raise SystemExit('ConnectionError: Could not find any running Ray instance')"
    )
    with pytest.raises(UserError) as caught:
        expect_cluster("auto")
    assert str(caught.value) == (
        "--cluster auto: no Ray cluster runs on this machine\n"
        "  fix: start one with: ray start --head; or name another machine's: --cluster HOST:PORT"
    )


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.spread import shards_of, spread

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError) as caught:
        spread(lambda _shard, _at: b"", shards_of(3), cluster="auto")
    assert str(caught.value) == (
        "--cluster: Ray is not installed\n  fix: pip install 'edge-inspect[cluster]', here and on every node"
    )
