"""The first config of a line is short and commented: its name, where frames come from, which model, what happens."""

from __future__ import annotations

import json
import re

from edge.config.yaml_reader import dump_yaml


def camera_name(stem: str) -> str:
    """Return a camera's name from a file's: a to z, 0 to 9 and _, at most 32."""
    return re.sub("[^a-z0-9]+", "_", stem.lower()).strip("_")[:32] or "cam1"


def first_config(camera: str, source: dict[str, object], bundle: str) -> str:
    """Return the text of a line's YAML. ``source`` is its section, in order."""
    section = "\n".join(f"  {key}: {_scalar(value)}" for key, value in source.items())
    return f"""\
# Every key: docs/config.md, or `edge config-schema` for your editor. Relative paths lie beside this file.
camera: {camera}                  # its name in topics, logs and paths
recipe_id: null                 # what the line calls the product
deadline_ms: null               # a later verdict is `invalid: late`
source:                         # docs/cameras.md
{section}
model:                          # made by `edge fit` or `edge build`
  bundle: {_scalar(bundle)}
calibration: {camera}.calibration.yaml  # written by `edge calibrate`
regions:
  threshold: calibrated         # or numbers: {{high: 6.0}}
  border_px: 0                  # docs/tuning.md: in which order to turn these
  min_area_px: 1
outputs:
  zmq: {{}}                       # `edge subscribe` this file
  jsonl: {{dir: log}}             # `edge log log`
  evidence: {{dir: evidence, quota_gb: 5}}
"""


def _scalar(value: object) -> str:
    """Return a value as YAML on one line; quoted where plain text would be read as something else, or be folded."""
    if isinstance(value, list) or (isinstance(value, str) and " " in value):
        return json.dumps(value, ensure_ascii=False)
    text = dump_yaml([value]).strip()
    return text[2:] if text.startswith("- ") else text[1:-1]
