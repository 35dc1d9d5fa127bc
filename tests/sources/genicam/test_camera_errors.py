"""The source loads without a camera library: only a camera in use needs it."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = """
import sys
for name in ("genicam", "harvesters", "harvesters.core"):
    sys.modules[name] = None
from edge.config.sources import GenicamConfig
from edge.sources.genicam import camera_errors, source
print(source.GenicamSource(GenicamConfig(kind="genicam", producer="simulated"), "cam1").simulated)
"""


def test_the_source_and_its_errors_load_without_a_camera_library() -> None:
    run = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("True\n", "")
