"""A tiled bundle needs this of its model, settled at the build: tile size, map scale, whether one run takes all tiles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.config.bundle_spec import BundleSpec, ResizeSpec, TileSpec
from edge.errors import UserError
from edge.models import graphs
from edge.models.build.foreign import ModelInput
from edge.models.build.parity import LARGEST_DIFFERENCE
from edge.models.build.placement import MapToImage
from edge.preprocess.tiling import Tiling


def check_tile(tile: TileSpec, taken: ModelInput, resize: str, path: Path) -> None:
    """Refuse a tile that the model can't take.

    Raises:
        UserError: the model fixes another size, or frames are to be resized in the graph.
    """
    if resize == "graph":
        raise UserError("--tile with --resize graph", fix="resize on the host: --resize host")
    if taken.size is not None and taken.size != tile.size:
        raise UserError(
            f"{path}: the model fixes its picture's size",
            received=f"--tile {tile.size[0]},{tile.size[1]}",
            expected=f"--tile {taken.size[0]},{taken.size[1]}",
        )


def tiled(spec: BundleSpec, tile: TileSpec, size: tuple[int, int] | None) -> BundleSpec:
    """Return the spec of whole pictures of a tile's size, for pictures of ``size`` (None: any) that are cut into tiles."""
    resize = ResizeSpec(where="none" if size is None else "host", kernel=spec.resize.kernel, size=size)
    return spec.model_copy(update={"tile": tile, "resize": resize})


def middle_tile(image: NDArray[Any], tile: TileSpec) -> NDArray[Any]:
    """Copy one tile of a prepared picture (H, W, C)."""
    tiles = Tiling(tile, (image.shape[1], image.shape[0])).cut(image)
    return np.array(tiles[len(tiles) // 2])


def tile_map_to_image(declared: MapToImage, tile: TileSpec, path: Path) -> MapToImage:
    """Return the whole map's place from ``declared`` for one tile: its own scale, if whole and a divisor of stride and
    border.

    Otherwise (1, 1, 0, 0): tile maps are then resized to the picture's own px before they are put together.

    Raises:
        UserError: the model crops, so that tiles would leave gaps, or its map is larger than the tile.
    """
    sx, sy, ox, oy = declared
    if (ox, oy) != (0, 0):
        raise UserError(
            f"{path}: the model crops its picture, so its map does not cover a tile",
            received=f"a map that begins {ox:g} px from the left and {oy:g} px from the top",
            fix="export the model without its centre crop",
        )
    if min(sx, sy) < 1:
        raise UserError(
            f"{path}: the model's map is larger than its tile",
            received=f"{tile.size[0] / sx:g}x{tile.size[1] / sy:g}",
            expected=f"at most {tile.size[0]}x{tile.size[1]}",
        )
    sides = zip((sx, sy), tile.stride, strict=True)
    whole = all(s % 1 == 0 and stride % s == 0 and tile.border_px % s == 0 for s, stride in sides)
    return (sx, sy, 0.0, 0.0) if whole else (1.0, 1.0, 0.0, 0.0)


def takes_batch(model: onnx.ModelProto, pictures: Mapping[str, NDArray[Any]], path: Path) -> bool:
    """Return True if a graph whose batch is open gives the same for pictures one by one and together.

    Exporters declare it open and still bake 1 into a Reshape; others let one picture of a batch see the next.
    """
    session = graphs.session(model, f"the bundle of {path}")
    several = list(pictures.values())[:2]
    alone = [graphs.run_graph(session, picture[None]) for picture in several]
    try:
        together = graphs.run_graph(session, np.stack(several))
    except Exception:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        return False
    for name, values in together.items():
        expected = np.concatenate([run[name] for run in alone])
        if values.shape != expected.shape:
            return False
        finite = expected[np.isfinite(expected)]
        allowed = LARGEST_DIFFERENCE * float(np.ptp(finite)) if finite.size else 0.0
        if not np.allclose(values, expected, rtol=LARGEST_DIFFERENCE, atol=allowed, equal_nan=True):
            return False
    return True
