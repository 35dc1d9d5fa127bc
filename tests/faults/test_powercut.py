"""A power cut: what is left on the device is enough to start on, and nothing synced is lost."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import pytest
from support.graphs import write_identity_bundle

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import powercut


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/loop-control"), reason="needs root, who may mount, and loop devices"
)
@pytest.mark.parametrize("fs", [fs for fs in ("ext4", "xfs") if shutil.which(f"mkfs.{fs}")])
def test_soon_after_the_first_start_the_line_starts_again_and_every_heard_record_is_there(tmp_path: Path, fs: str) -> None:
    write_identity_bundle(tmp_path / "bundle")
    options = argparse.Namespace(bundle=tmp_path / "bundle", high=300.0, fs=fs, sync="each", size_mb=400)
    for after_s in (0.3, 1.0, 3.0, 8.0):
        folder = tmp_path / f"{after_s}"
        folder.mkdir()
        told = powercut.cut(folder, options, after_s)
        assert (told["restarted"], told["missing"], told["unreadable"]) == (True, 0, 0), told
