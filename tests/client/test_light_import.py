"""A program that listens needs pyzmq and orjson alone: nothing else is imported, wherever it is installed."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = (
    "cv2", "numpy", "onnx", "onnxruntime", "openvino", "prometheus_client", "pydantic", "rich", "structlog", "typer",
    "yaml", "zstandard",
)  # fmt: skip
SCRIPT = f"""
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None  # an import of it raises ImportError
import edge.client
from edge.client import Subscriber, check_endpoint
from edge.wire import SCHEMA
check_endpoint("tcp://127.0.0.1:5556")
with Subscriber("ipc:///nowhere/pub", "cam1") as line:
    assert not line.decide(part_id=1, within_s=0.01).accept
    assert line.receive(0.0) is None
print(sorted(name for name in sys.modules if name.startswith("edge")))
"""


def test_the_client_runs_where_numpy_opencv_and_pydantic_are_not_installed() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rooms = {name.split(".")[1] for name in eval(done.stdout) if "." in name}
    assert rooms <= {"client", "errors", "frames", "wire"}
