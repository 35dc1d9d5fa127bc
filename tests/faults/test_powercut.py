"""A power cut: what is left on the device is enough to start on, and nothing beyond the promise is lost."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import powercut

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.geteuid() != 0 or not os.path.exists("/dev/loop-control"), reason="needs root, who may mount, and loop devices"
    ),
]


@pytest.mark.parametrize("fs", [fs for fs in ("ext4", "xfs") if shutil.which(f"mkfs.{fs}")])
@pytest.mark.parametrize("sync", ["each", "interval"])
def test_soon_after_the_first_start_the_line_starts_again_and_no_more_is_gone_than_was_promised(
    tmp_path: Path, fs: str, sync: str
) -> None:
    options = argparse.Namespace(fs=fs, sync=sync, size_mb=400, fps=20.0, quota_gb=0.1)
    for after_s in (0.3, 1.0, 3.0, 8.0):
        folder = tmp_path / f"{after_s}"
        folder.mkdir()
        told = powercut.cut(folder, options, after_s)
        assert powercut.is_as_promised(told), told
