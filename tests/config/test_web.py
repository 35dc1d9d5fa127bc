"""The page's config: what it refuses, and in which words."""

from __future__ import annotations

import pytest

from edge.config.web import load_web_config
from edge.errors import UserError


def test_the_network_needs_tls_or_a_proxy(tmp_path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("bind: 0.0.0.0:8080\n")
    with pytest.raises(
        UserError, match=r"bind: 0\.0\.0\.0:8080 would send passwords over the network in clear text; expected"
    ):
        load_web_config(path)
    path.write_text("bind: 0.0.0.0:8080\ntls: {cert: a.pem, key: b.pem}\n")
    assert load_web_config(path).config.tls.cert == tmp_path / "a.pem"
    path.write_text("bind: 192.168.1.5:8080\nbehind_proxy: {}\n")
    assert load_web_config(path).config.behind_proxy.peers == ("127.0.0.1", "::1")


@pytest.mark.parametrize("bind", ["127.0.0.1:8080", "localhost:0", "[::1]:80", "unix:/run/edge-web/page.sock"])
def test_this_machine_alone_needs_neither(bind) -> None:
    assert load_web_config(None, bind).config.is_loopback


@pytest.mark.parametrize("bind", ["8080", "127.0.0.1", "127.0.0.1:99999", "unix:", ":80"])
def test_an_address_that_is_none_is_refused(bind) -> None:
    with pytest.raises(UserError, match=r"edge web: bind\n  received: "):
        load_web_config(None, bind)


def test_a_misspelt_key_is_named_with_its_line(tmp_path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("bind: 127.0.0.1:1\nrecordngs: []\n")
    with pytest.raises(UserError, match=r"web.yaml:2: recordngs: unknown key\n  expected: did you mean 'recordings'\?"):
        load_web_config(path)


def test_paths_start_from_the_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("dir: state\nrecordings: [frames]\n")
    loaded = load_web_config(path)
    assert (loaded.folder, loaded.config.recordings) == (tmp_path / "state", (tmp_path / "frames",))
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge-web:/other")
    assert str(load_web_config(None).folder) == "/var/lib/edge-web"
