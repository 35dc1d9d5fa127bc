"""Names say which pictures are masks: people's outlines of defects on other pictures, which data sets keep beside these."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
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


def masks_beside(names: Collection[str], looks_like_one: Callable[[str], bool]) -> frozenset[str]:
    """Those of the pictures that surely are masks of others among them, so that nobody wants a verdict on them.

    Stricter than ``masks_among``: whatever lies in a folder whose name says ground truth in full; what ``looks_like_one``
    by its pixels and lies in a folder of masks or ``gt``, or in one called ``label`` or ``annotations`` with the name of a
    picture outside it, or is an ``a_mask.png`` or ``mask_a.png`` beside an ``a``. A product may be a mask, or be called GT,
    and a camera may look at the label. None is believed where every picture would be one.
    """
    outside, inside = set(), []
    for name in names:
        folders = name.split("/")[:-1]
        (inside.append(name) if any(map(is_mask_folder, folders)) else outside.add(name))
    of_outside = {_last(name) for name in outside}
    found = {name for name in inside if _is_ground_truth(name)}
    unsure = [name for name in inside if _says_mask(name) or _MASK_STEM.sub("", _last(name)) in of_outside]
    stems = {name.rpartition(".")[0] for name in outside}
    for name in outside:
        stem = name.rpartition(".")[0]
        folder, slash, last = stem.rpartition("/")
        bare = {f"{folder}{slash}{_MASK_STEM.sub('', last)}", f"{folder}{slash}{_MASK_BEFORE.sub('', last)}"} - {stem}
        if bare & stems:
            unsure.append(name)
    if len(found.union(unsure)) == len(names):
        return frozenset()
    return frozenset(found.union(name for name in unsure if name not in found and looks_like_one(name)))


def _is_ground_truth(name: str) -> bool:
    return any("groundtruth" in "".join(_WORD.findall(folder.casefold())) for folder in name.split("/")[:-1])


def _says_mask(name: str) -> bool:
    return not _folder_words(name).isdisjoint({"mask", "masks", *_MASK_WORDS})


def _folder_words(name: str) -> set[str]:
    """Return the words of the folders' names, each one alone, and each folder's without spaces between."""
    words = [_WORD.findall(folder.casefold()) for folder in name.split("/")[:-1]]
    return {word for of_folder in words for word in of_folder} | {"".join(of_folder) for of_folder in words}


def _last(name: str) -> str:
    """Return a picture's own name, without folder and ending."""
    return name.rpartition("/")[2].rpartition(".")[0]
