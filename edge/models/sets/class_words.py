"""Folder names of data sets say what their pictures are: good parts, defective parts, or masks."""

from __future__ import annotations

import re
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


_BAD_WORDS: Final = BAD_FOLDERS - {"ko", "fail", "failed"}
"""Words that say the same as a part of a longer name: ``bad_parts``, ``0012-NG.png``."""
_NOT: Final = frozenset({"no", "non", "not", "without", "zero", "free", "nicht"})
_WORD: Final = re.compile(r"[a-z]+")


def says_bad(name: str) -> bool:
    """Whether a word in the name of a folder or a file says that a part is defective: ``bad_parts``, ``not_good``,
    ``0012-NG``; ``no_defects`` and ``defect-free`` don't.
    """
    words = _WORD.findall(name.casefold())
    denied = not _NOT.isdisjoint(words)
    if denied or "nogood" in words or "notok" in words:
        return "nogood" in words or "notok" in words or not GOOD_FOLDERS.isdisjoint(words)
    return not _BAD_WORDS.isdisjoint(words)
