"""A template is made of some of a line's frames: they are brought to one of them, and their medians are the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.disturb.geometry import surroundings
from edge.drift.meter import ALIGN_PX, Meter
from edge.drift.template import (
    DIRECTIONS,
    PATCH_PX,
    Template,
    edge_heights,
    noise_heights,
    patches,
    shrunken,
    work_size,
)
from edge.preprocess.lucas_kanade import Aligner

TEMPLATE_FRAMES: Final = 24
"""Frames whose median is the reference picture."""
_AGREEMENT: Final = 0.6
"""Frames that correlate less with one of them show no part in one pose."""
_EDGES, _FLATS = 10, 20
_MARGIN: Final = 0.04
"""Share of the longer side that patches keep from the rim, so that a part that moves keeps them inside."""
_USUAL: Final = 1.0
"""Grey levels that a pixel differs by at least."""


def fit_template(
    frames: Sequence[NDArray[np.uint8] | NDArray[np.uint16]], bits: int, region: NDArray[np.bool_] | None = None
) -> Template:
    """``frames``: some twenty, of one size, spread over all conditions. ``region``: bool (H, W) of the frame, what counts;
    None: all of it.
    """
    height, width = frames[0].shape[:2]
    small = [shrunken(frame, bits) for frame in frames]
    counted = _counted(region, work_size((width, height)))
    first = small[_most_typical(small)]
    fixed, picture = _median_picture(first, small)
    bare = _bare((width, height), picture, counted, fixed=fixed)
    bare = replace(bare, on_part=_on_part(picture, counted), texture=_texture(small, counted))
    return _with_patches(bare, frames, small, bits, region)


def _with_patches(
    bare: Template,
    frames: Sequence[NDArray[np.uint8] | NDArray[np.uint16]],
    small: Sequence[NDArray[np.uint8]],
    bits: int,
    region: NDArray[np.bool_] | None,
) -> Template:
    meter = Meter(bare)
    placed = [meter.placed(picture)[:2] for picture in small]
    residuals = np.stack([meter.residual(picture, *how) for picture, how in zip(small, placed, strict=True)])
    smoothed = np.stack([cv2.blur(np.nan_to_num(part), (3, 3)) for part in residuals])
    usual = np.maximum(1.4826 * np.median(np.abs(smoothed - np.median(smoothed, axis=0)), axis=0), _USUAL)
    # the picture of the frame that lies nearest to the reference shows where edges and flat places are
    nearest = min(range(len(placed)), key=lambda number: abs(placed[number][0][1]) + 50 * abs(placed[number][0][0] - 1))
    edges, flats = _places(frames[nearest], bits, region)
    heights, noises = [], []
    for frame, (place, light) in zip(frames, placed, strict=True):
        corners, log_light = meter.moved(edges.reshape(-1, 2), place, light)
        patch, inside = patches(frame, bits, corners)
        shape = edges.shape[:2]
        height = edge_heights(patch.reshape(*shape, PATCH_PX, PATCH_PX)) - log_light.reshape(shape)
        heights.append(np.where(inside.reshape(shape), height, np.nan))
        corners, log_light = meter.moved(flats, place, light)
        patch, inside = patches(frame, bits, corners)
        noises.append(np.where(inside, noise_heights(patch) - log_light, np.nan))
    return replace(
        bare,
        usual=usual.astype(np.float32),
        edges=edges,
        edges_usual=np.nan_to_num(np.nanmedian(np.stack(heights), axis=0)),
        flats=flats,
        flats_usual=np.nan_to_num(np.nanmedian(np.stack(noises), axis=0)),
    )


def _bare(size: tuple[int, int], picture: NDArray[np.float32], counted: NDArray[np.bool_], *, fixed: bool) -> Template:
    """A template without patches: enough for a registration."""
    return Template(
        size=size,
        fixed=fixed,
        picture=picture,
        usual=np.ones_like(picture),
        counted=counted,
        on_part=counted,
        texture=1.0,
        edges=np.zeros((DIRECTIONS, 0, 2), np.int32),
        edges_usual=np.zeros((DIRECTIONS, 0)),
        flats=np.zeros((0, 2), np.int32),
        flats_usual=np.zeros(0),
    )


def _most_typical(small: Sequence[NDArray[np.uint8]]) -> int:
    """Number of the frame that is nearest to the others in place and light."""
    aligner = Aligner(small[0], ALIGN_PX)
    places = []
    for picture in small:
        (turn, shift), light, _ = aligner.align(picture)
        places.append(
            [shift.real, shift.imag, 100 * turn.real, 100 * turn.imag, 10 * light[0], 10 * light[2], 10 * light[3]]
        )
    spread = np.array(places) - np.median(places, axis=0)
    return int(np.argmin(np.linalg.norm(spread, axis=1)))


def _median_picture(first: NDArray[np.uint8], small: Sequence[NDArray[np.uint8]]) -> tuple[bool, NDArray[np.float32]]:
    """Whether the frames show one pose, and the median of them all in the place and light of the first."""
    aligner = Aligner(first, ALIGN_PX)
    found = [aligner.align(picture) for picture in small]
    if np.median([agreement for _, _, agreement in found]) < _AGREEMENT:
        return False, np.full(first.shape, np.median(np.stack(small)), np.float32)
    start = _bare((first.shape[1], first.shape[0]), first.astype(np.float32), np.ones(first.shape, np.bool_), fixed=True)
    meter = Meter(start)
    residuals = [
        meter.residual(picture, place, light)
        for picture, (place, light, agreement) in zip(small, found, strict=True)
        if agreement >= _AGREEMENT
    ]
    stacked = np.stack(residuals)
    nowhere = np.isnan(stacked).all(axis=0)
    stacked[:, nowhere] = 0
    return True, np.asarray(first + np.nanmedian(stacked, axis=0), np.float32)


def _texture(small: Sequence[NDArray[np.uint8]], counted: NDArray[np.bool_]) -> float:
    """The usual standard deviation of the fine structure."""
    fine = [picture.astype(np.float32) - cv2.blur(picture.astype(np.float32), (9, 9)) for picture in small]
    return max(0.1, float(np.median([part[counted].std() for part in fine])))


def _counted(region: NDArray[np.bool_] | None, size: tuple[int, int]) -> NDArray[np.bool_]:
    if region is None:
        return np.ones((size[1], size[0]), np.bool_)
    share = cv2.resize(region.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(share > 0.5)


def _on_part(picture: NDArray[np.float32], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All but an even ground at the rim; if there is none, the half with more structure."""
    around = surroundings((picture / 255)[:, :, None].astype(np.float32))
    if around is not None:
        return around < 0.5
    slope = cv2.GaussianBlur(np.abs(cv2.Laplacian(picture, cv2.CV_32F)), (0, 0), 3.0)
    return np.asarray(slope >= np.median(slope[counted] if counted.any() else slope))


def _places(
    frame: NDArray[np.uint8] | NDArray[np.uint16], bits: int, region: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Corners of the patches with the highest edges in each direction, spread over the picture, and of the flattest."""
    height, width = frame.shape[:2]
    margin = round(_MARGIN * max(width, height))
    step = PATCH_PX // 2 if width * height < 2**20 else PATCH_PX
    ys, xs = np.mgrid[margin : height - margin - PATCH_PX + 1 : step, margin : width - margin - PATCH_PX + 1 : step]
    corners = np.stack((xs.ravel(), ys.ravel()), axis=1).astype(np.int32)
    if not len(corners):  # a very small frame: what there is
        corners = np.array([[0, 0]], np.int32)
    if region is not None:
        centre = np.minimum(corners + PATCH_PX // 2, [width - 1, height - 1])
        inside = region[centre[:, 1], centre[:, 0]]
        corners = corners[inside] if inside.any() else corners
    patch, _ = patches(frame, bits, corners)
    heights, noises = edge_heights(np.broadcast_to(patch, (DIRECTIONS, *patch.shape))), noise_heights(patch)
    cut = ((patch <= 1) | (patch >= 254)).mean(axis=(1, 2)) > 0.05
    heights[:, cut], noises[cut] = -np.inf, np.inf
    edges = np.stack([_apart(corners, -own, _EDGES) for own in heights])
    return edges, _apart(corners, noises + 0.5 * heights.mean(axis=0), _FLATS)


def _apart(corners: NDArray[np.int32], cost: NDArray[np.float64], count: int) -> NDArray[np.int32]:
    """``count`` corners of low cost that don't overlap, the cheapest first; some twice if there are too few."""
    chosen: list[NDArray[np.int32]] = []
    for number in np.argsort(cost, kind="stable"):
        if all(np.abs(corners[number] - other).max() >= PATCH_PX for other in chosen):
            chosen.append(corners[number])
        if len(chosen) == count:
            break
    return np.stack([chosen[number % len(chosen)] for number in range(count)])
