"""Defects in the pictures of factory cameras are found as they stream: frames in, verdicts out."""

import os

__version__ = "0.1.0"

# ONNX Runtime 1.32 keeps a device id and a database of events for its maker in the user's cache; it looks at this once,
# when it is imported. CI=true suppresses it as well, so that no CI ever shows it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
