"""Folder names of data sets say what their pictures are: good parts, defective parts, or masks."""

from __future__ import annotations

from typing import Final

GOOD: Final = "good"
"""What MVTec AD calls the folder of good parts."""
GROUND_TRUTH: Final = "ground_truth"
"""What MVTec AD calls the folder of masks."""
GOOD_FOLDERS: Final = frozenset({"good", "ok", "normal"})
"""Folder names, in small letters: MVTec AD and LOCO, BTAD, VisA."""
BAD_FOLDERS: Final = frozenset(
    {"bad", "ng", "nok", "ko", "defect", "defects", "defective", "anomaly", "anomalies", "anomalous", "abnormal"}
    | {"reject", "rejects", "rejected", "fail", "failed", "faulty"}
)
"""Folder names, in small letters, that say that a part is defective and not how."""


def is_good_folder(name: str) -> bool:
    return name.casefold() in GOOD_FOLDERS


def is_bad_folder(name: str) -> bool:
    return name.casefold() in BAD_FOLDERS
