"""No part of a camera's password is shown anywhere, whatever it looks like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from support.daemons import Manager, daemon
from support.lines import loaded
from support.waits import PATIENCE_S

from edge.config.address import redacted, with_secrets
from edge.errors import UserError

STYLES = [
    "rtsp://admin:S3CRET@127.0.0.1:9/h264",
    "http://admin:S3CRET/pw@127.0.0.1:9/v",
    "http://admin:a@S3CRET@127.0.0.1:9/v",
    "http://admin:a?S3CRET@127.0.0.1:9/v",
    "http://admin:a#S3CRET@127.0.0.1:9/v",
    "rtsp://S3CRET@127.0.0.1:9/live",
    "http://127.0.0.1:9/S3CRET/video.mjpg",
    "http://127.0.0.1:9/video?user=admin&password=S3CRET",
    "http://127.0.0.1:9/video?password=x@S3CRET",
    "srt://127.0.0.1:9?passphrase=S3CRET&mode=caller",
    "rtmp://:S3CRET@127.0.0.1:9/app",
    "rtsp:admin:S3CRET@127.0.0.1",
]


@pytest.mark.parametrize("address", STYLES)
def test_nothing_secret_of_an_address_is_shown(address: str) -> None:
    assert "S3CRET" not in redacted(address)
    assert redacted(address).startswith(address.partition(":")[0])


def test_what_is_no_address_is_shown_as_it_is_and_an_unambiguous_host_too() -> None:
    assert redacted("/data/a b.mp4") == "/data/a b.mp4"
    assert redacted("clips/x.mp4") == "clips/x.mp4"
    assert redacted("rtsp://cam.plant:554/a/b?c") == "rtsp://cam.plant:554/..."
    assert redacted("rtsp://u:p@cam.plant") == "rtsp://cam.plant"


@pytest.mark.parametrize("number", [1, 8, 10])
def test_a_password_stands_nowhere_but_in_files_of_the_configs_own_mode(tmp_path: Path, number: int) -> None:
    """Journal, state, log, archive, runtime folder and evidence of a line whose camera doesn't answer."""
    manager = Manager(tmp_path)
    loaded(tmp_path)
    config = tmp_path / "cam1.yaml"
    data = yaml.safe_load(config.read_text())
    data["source"] = {"kind": "opencv", "device": STYLES[number]}
    data["outputs"] |= {"evidence": {"dir": "evidence"}}
    text = yaml.safe_dump(data)
    config.write_text(text)
    before = os.umask(0o022)
    try:
        with daemon(tmp_path, manager=manager, sets=["outputs.zmq={}"], text=text) as process:
            config.chmod(0o600)
            manager.wait_for("READY=1")
            manager.wait_for("STATUS=backoff")
            process.terminate()
            journal = "".join(process.communicate(timeout=PATIENCE_S))
    finally:
        os.umask(before)
        manager.close()
    assert "S3CRET" not in journal + "".join(text for _, text in manager.heard)
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and b"S3CRET" in path.read_bytes()]
    assert {path.name for path in holding} >= {"cam1.yaml", "instance.json"}
    assert {oct(path.stat().st_mode & 0o777) for path in holding} == {"0o600"}
    assert {path.parent.name for path in holding} == {tmp_path.name, "run", "archive"}


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
