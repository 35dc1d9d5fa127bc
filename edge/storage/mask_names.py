"""Names say which pictures are masks: people's outlines of defects on other pictures, which data sets keep beside these."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final

_MASK_FOLDERS: Final = frozenset({"mask", "masks", "label", "labels", "annotations", "segmentation", "segmentations"})
_MASK_WORDS: Final = frozenset({"gt", "groundtruth"})
_MASK_STEM: Final = re.compile(r"[ _.-](masks?|gt|ground_?truth|labels?|seg(mentation)?)$", re.IGNORECASE)
_MASK_BEFORE: Final = re.compile(r"^(masks?|gt|ground_?truth|labels?|seg(mentation)?)[ _.-](?=.)", re.IGNORECASE)
_WORD: Final = re.compile(r"[a-z]+")


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


def masks_beside(names: Collection[str]) -> frozenset[str]:
    """Those of the pictures that surely are masks of others among them, so that nobody wants a verdict on them.

    Stricter than ``masks_among``: whatever lies in a folder whose name says ground truth or masks; in one called ``label``
    or ``annotations`` only what has the name of a picture outside it; ``a_mask.png`` and ``mask_a.png`` beside an ``a``.
    None is believed where every picture would be one.
    """
    outside, inside = set(), []
    for name in names:
        folders = name.split("/")[:-1]
        (inside.append(name) if any(map(is_mask_folder, folders)) else outside.add(name))
    of_outside = {_last(name) for name in outside}
    found = {name for name in inside if _surely(name) or _MASK_STEM.sub("", _last(name)) in of_outside}
    stems = {name.rpartition(".")[0] for name in outside}
    for name in outside:
        stem = name.rpartition(".")[0]
        folder, slash, last = stem.rpartition("/")
        bare = {f"{folder}{slash}{_MASK_STEM.sub('', last)}", f"{folder}{slash}{_MASK_BEFORE.sub('', last)}"} - {stem}
        if bare & stems:
            found.add(name)
    return frozenset(found) if len(found) < len(names) else frozenset()


def _surely(name: str) -> bool:
    words = {word for folder in name.split("/")[:-1] for word in _WORD.findall(folder.casefold())}
    joined = {"".join(_WORD.findall(folder.casefold())) for folder in name.split("/")[:-1]}
    return not (words | joined).isdisjoint(_MASK_WORDS | {"mask", "masks"})


def _last(name: str) -> str:
    """Return a picture's own name, without folder and ending."""
    return name.rpartition("/")[2].rpartition(".")[0]
