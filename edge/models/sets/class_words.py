"""Folder names of data sets say what their pictures are: good parts, defective parts, or masks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
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


_MASK_FOLDERS: Final = frozenset({"mask", "masks", "label", "labels", "annotations", "segmentation", "segmentations"})
_MASK_WORDS: Final = frozenset({"gt", "groundtruth"})
_MASK_STEM: Final = re.compile(r"[ _.-](masks?|gt|ground_?truth|labels?|seg(mentation)?)$", re.IGNORECASE)
_MASK_BEFORE: Final = re.compile(r"^(masks?|gt|ground_?truth|labels?|seg(mentation)?)[ _.-](?=.)", re.IGNORECASE)
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


def is_mask_folder(name: str) -> bool:
    """Whether a folder's name says that masks lie in it: ``masks``, ``ground_truth``, ``Ground Truth``, ``gt_masks``."""
    words = _WORD.findall(name.casefold())
    return name.casefold() in _MASK_FOLDERS or "".join(words) in _MASK_WORDS or not _MASK_WORDS.isdisjoint(words)


def masks_among(names: Iterable[str]) -> frozenset[str]:
    """Those of the pictures, by their paths under a folder, that are masks by their names.

    ``a_mask.png``; ``mask_a.png`` if there is an ``a``; ``a.png`` beside ``a.jpg``, as data sets keep them that save
    parts as JPEG and masks as PNG; whatever lies in a folder of masks.
    """
    stems: dict[str, set[str]] = defaultdict(set)
    for name in names:
        stem, _, ending = name.rpartition(".")
        stems[stem].add(ending.casefold())
    found = set()
    for name in names:
        stem, _, ending = name.rpartition(".")
        folder, slash, last = stem.rpartition("/")
        beside = f"{folder}{slash}{_MASK_BEFORE.sub('', last)}"
        if (
            any(map(is_mask_folder, folder.split("/")))
            or _MASK_STEM.search(stem) is not None
            or (beside != stem and beside in stems)
            or (ending.casefold() == "png" and not _JPEG.isdisjoint(stems[stem]))
        ):
            found.add(name)
    return frozenset(found)


_JPEG: Final = frozenset({"jpg", "jpeg", "jpe", "jfif"})
