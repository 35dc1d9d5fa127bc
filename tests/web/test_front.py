"""The page's front is small: it starts without the libraries that its workers need."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("cv2", "numpy", "onnx", "onnxruntime", "scipy", "sklearn", "torch")


def test_the_front_starts_without_numpy_and_opencv() -> None:
    """Each would be 12 MB and more of the 80 that the front may have."""
    asked = f"import sys, edge.web.serve; print([name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
