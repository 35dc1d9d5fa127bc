"""``edge install-service``: what it writes, prints and warns of, from a checkout and from an installed wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.lines import BASE
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import UserError
from edge.service.unit_files import ServiceFile, service_files

ROOT = Path(__file__).parents[2]
FILES = [
    "etc/sysctl.d/60-edge-gige.conf",
    "etc/systemd/system/edge@.service",
    "etc/sysusers.d/edge.conf",
    "etc/tmpfiles.d/edge.conf",
    "etc/udev/rules.d/70-edge-usb3vision.rules",
]


def install(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["install-service", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_all_files_come_to_their_places(tmp_path: Path) -> None:
    told = install("cam1", "--root", str(tmp_path), "--drop-in", "cuda")
    assert files_in(tmp_path) == sorted([*FILES, "etc/systemd/system/edge@cam1.service.d/50-cuda.conf"])
    assert told.count("written ") == 6
    assert f"warning: {tmp_path}/etc/edge/cam1.yaml is not there yet: the service needs it" in told
    assert told.endswith("  edge doctor /etc/edge/cam1.yaml\n  systemctl enable --now edge@cam1\n")
    assert f"ExecStart={sys.prefix}/bin/edge run" in (tmp_path / "etc/systemd/system/edge@.service").read_text()


def test_a_gateway_s_unit_comes_when_it_is_asked_for(tmp_path: Path) -> None:
    told = install("cam1", "--root", str(tmp_path), "--gateway")
    assert files_in(tmp_path) == sorted([*FILES, "etc/systemd/system/edge-gateway@.service"])
    unit = (tmp_path / "etc/systemd/system/edge-gateway@.service").read_text()
    assert f"ExecStart={sys.prefix}/bin/edge gateway modbus /etc/edge/%i.yaml $EDGE_GATEWAY_OPTIONS" in unit
    assert told.endswith("  systemctl enable --now edge@cam1 edge-gateway@cam1\n")


def test_a_second_time_changes_nothing_and_what_differs_is_replaced(tmp_path: Path) -> None:
    install("cam1", "--root", str(tmp_path))
    (tmp_path / "etc/tmpfiles.d/edge.conf").write_text("mine")
    told = install("cam1", "--root", str(tmp_path))
    assert (told.count("unchanged "), told.count("replaced ")) == (4, 1)


def test_print_writes_nothing(tmp_path: Path) -> None:
    told = install("cam1", "--root", str(tmp_path), "--print", "--program", "/opt/edge/venv/bin/edge")
    assert files_in(tmp_path) == []
    for name in FILES:
        assert f"# /{name}\n" in told
    assert (ROOT / "systemd" / "edge@.service").read_text() in told


def test_a_program_that_the_service_cannot_see_and_a_config_of_another_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "etc" / "edge").mkdir(parents=True)
    (tmp_path / "etc" / "edge" / "cam2.yaml").write_text(BASE)
    told = install("cam2", "--root", str(tmp_path), "--program", "/home/me/.venv/bin/edge")
    assert [line for line in told.splitlines() if line.startswith("warning")] == [
        "warning: /home/me/.venv/bin/edge lies where the service can't see it (ProtectHome=yes): install into "
        "/opt/edge/venv",
        f"warning: {tmp_path}/etc/edge/cam2.yaml says camera: cam1; name both alike, or clients look in the wrong runtime "
        "folder",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["Cam-1"], "CAMERA\n  received: 'Cam-1'\n  expected: a to z, 0 to 9 and _, at most 32, as in the config"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(app, ["install-service", "--root", str(tmp_path), *arguments])
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == text
    assert files_in(tmp_path) == []


def test_a_root_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "x").write_text("a file")
    with pytest.raises(UserError) as told:
        ServiceFile(Path("etc/x/y"), "text").write(tmp_path)
    assert str(told.value) == (
        f"{tmp_path}/etc/x/y: cannot be written: File exists\n  fix: use sudo, or give --root a folder of your own"
    )


def test_an_installed_wheel_has_the_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("edge", "systemd"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "-w", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"  # unpacked by hand: pip install would take the environment's own installation away
    zipfile.ZipFile(wheel).extractall(site)
    command = [sys.executable, "-m", "edge", "install-service", "cam1", "--root", str(tmp_path / "root")]
    environment = os.environ | {"PYTHONPATH": str(site)}
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=tmp_path)
    assert files_in(tmp_path / "root") == sorted(FILES)
    for file in service_files("cam1"):
        assert (tmp_path / "root" / file.path).read_text() == file.text


def config_in(root: Path, text: str) -> None:
    (root / "etc" / "edge").mkdir(parents=True)
    (root / "etc" / "edge" / "cam1.yaml").write_text(text)


def test_folders_that_the_config_writes_to_may_be_written_by_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the sandbox they are read-only, for ever, and a shell doesn't show it."""
    monkeypatch.setenv("GENICAM_GENTL64_PATH", "/opt/my vendor/cti")
    outputs = (
        "outputs: {zmq: {bind: 'ipc:///srv/edge/pub'}, jsonl: {dir: /data/log}, evidence: {dir: /var/lib/edge/cam1/kept}}\n"
    )
    text = "camera: cam1\nsource: {kind: genicam}\nmodel: {bundle: /opt/m}\nregions: {threshold: {high: 2.0}}\n"
    config_in(tmp_path, text + outputs)
    told = install("cam1", "--root", str(tmp_path), "--program", "/opt/edge/venv/bin/edge")
    assert "warning" not in told
    found = (tmp_path / "etc/systemd/system/edge@cam1.service.d/40-config.conf").read_text().splitlines()[1:]
    assert found == [
        "[Service]",
        "ReadWritePaths=-/data/log",
        "ReadWritePaths=-/srv/edge",
        'Environment="GENICAM_GENTL64_PATH=/opt/my vendor/cti"',
    ]


def test_a_folder_from_which_pictures_are_taken_may_be_written(tmp_path: Path) -> None:
    text = (
        "camera: cam1\nsource: {kind: watched_folder, path: /srv/ftp/cam1, taken: move, move_to: /srv/ftp/done}\n"
        "model: {bundle: /opt/m}\nregions: {threshold: {high: 2.0}}\n"
    )
    config_in(tmp_path, text)
    told = install("cam1", "--root", str(tmp_path), "--program", "/opt/edge/venv/bin/edge")
    assert "warning" not in told
    found = (tmp_path / "etc/systemd/system/edge@cam1.service.d/40-config.conf").read_text().splitlines()[2:]
    assert found == ["ReadWritePaths=-/srv/ftp/cam1", "ReadWritePaths=-/srv/ftp/done"]


def test_paths_that_the_service_cannot_see_are_warned_of(tmp_path: Path) -> None:
    text = (
        "camera: cam1\nsource: {kind: genicam, producer: /home/me/x.cti}\nmodel: {bundle: /root/m}\n"
        "regions: {threshold: {high: 2.0}}\noutputs: {zmq: {bind: 'ipc:///tmp/pub'}, jsonl: {dir: /home/me/log}}\n"
    )
    config_in(tmp_path, text)
    told = install("cam1", "--root", str(tmp_path), "--program", "/opt/edge/venv/bin/edge")
    warnings = [line.removeprefix("warning: ").split(":")[0] for line in told.splitlines() if line.startswith("warning")]
    assert warnings == ["outputs.jsonl.dir", "outputs.zmq.bind", "model.bundle", "source.producer"]
    assert not (tmp_path / "etc/systemd/system/edge@cam1.service.d").exists()
