"""No part of a camera's password is shown anywhere, whatever it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.addresses import STYLES

from edge.config.address import redacted, redacted_within, with_secrets
from edge.errors import UserError


@pytest.mark.parametrize("address", STYLES)
def test_nothing_secret_of_an_address_is_shown(address: str) -> None:
    assert "S3CRET" not in redacted(address)
    assert redacted(address).startswith(address.partition(":")[0])


def test_what_is_no_address_is_shown_as_it_is_and_an_unambiguous_host_too() -> None:
    assert redacted("/data/a b.mp4") == "/data/a b.mp4"
    assert redacted("clips/x.mp4") == "clips/x.mp4"
    assert redacted("rtsp://cam.plant:554/a/b?c") == "rtsp://cam.plant:554/..."
    assert redacted("rtsp://u:p@cam.plant") == "rtsp://cam.plant"


def test_addresses_in_a_text_are_redacted_and_endpoints_stay() -> None:
    text = "received: 'rtsp://a:S3CRET@h:1/x', ipc:///run/edge/pub, tcp://127.0.0.1:5556, tcp://u:S3CRET@h:1; a/b: 1"
    assert (
        redacted_within(text) == "received: 'rtsp://h:1/...', ipc:///run/edge/pub, tcp://127.0.0.1:5556, tcp://h:1; a/b: 1"
    )


def test_a_secret_comes_from_the_environment_or_from_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("CAM_PW", "a/b@c ?")
    assert with_secrets("rtsp://admin:${CAM_PW}@host/a?b=$5") == "rtsp://admin:a%2Fb%40c%20%3F@host/a?b=$5"
    with pytest.raises(UserError) as refused:
        with_secrets("rtsp://admin:${OTHER}@host")
    assert str(refused.value) == (
        "source.device: ${OTHER} has no value\n"
        "  received: no such environment variable, and no CREDENTIALS_DIRECTORY\n"
        "  fix: LoadCredential=OTHER:FILE or Environment=OTHER=... in a drop-in of the unit"
    )
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(UserError, match="No such file or directory") as later:
        with_secrets("rtsp://admin:${OTHER}@host")
    assert later.value.passes
    (tmp_path / "OTHER").write_text("x y\n")
    assert with_secrets("rtsp://admin:${OTHER}@host") == "rtsp://admin:x%20y@host"
