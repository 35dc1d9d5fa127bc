#!/usr/bin/env python3
"""What a self-test promises and what is found on parts that it never saw: `scripts/eval_self_test.py MAGNETIC_TILES`.

The folder is that of `scripts/eval_tiles.py`, split by part in the same way. `edge fit --method memory` makes a model of
the good pictures of some parts and promises a recall for each kind, size and contrast (`self_test.json`). Then

- the same kinds are planted into good pictures of the *other* parts, and looked for with the written graph: at the
  self-test's own threshold, and at the one that `edge calibrate`'s rule takes from half of those parts (the other half
  is planted into);
- the real defects of the other parts are looked for, each promised what the self-test says of the kind that it looks
  like, at its size and contrast. The mask says which pixels are its, the ring around it what they would be.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import eval_tiles
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.models.calibrate.thresholds import choose_high
from edge.models.fit.self_test import bright_level, pasted_cells

LIKE = {"blowhole": "spot", "break": "stain", "crack": "crack", "fray": "smear", "uneven": "dent"}
"""The pasted kind that a real one looks like most: uneven places have soft edges, as dents have."""
NEAR_PX = 2
LEAST_PX = 4
"""Parts of a mask smaller than this many px are specks of its drawing."""
RING_PX = 6


@dataclass(frozen=True)
class Model:
    """A fitted graph with what its self-test says. ``cells``: (kind, size in px, contrast) to recall."""

    session: ort.InferenceSession
    cells: dict[tuple[str, int, float], float]
    threshold: float

    def scored(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(self.session.run(["map"], {"frame": picture[None]})[0][0])

    def promised(self, kind: str, size_px: float, contrast: float) -> float:
        """The recall of the cell nearest in size and contrast; both count in doublings."""
        cells = [(size, c) for of, size, c in self.cells if of == kind]
        size, c = min(cells, key=lambda s: abs(np.log2(s[0] / size_px)) + abs(np.log2(s[1] / max(contrast, 1e-3))))
        return self.cells[kind, size, c]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv and ground_truth")
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--seeds", type=int, default=3, help="splits by part")
    parser.add_argument("--draws", type=int, default=20, help="planted defects of each kind, size and contrast")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    tiles = eval_tiles.read_tiles(arguments.data)
    with (arguments.data / "parts.csv").open(encoding="utf-8", newline="") as file:
        names = [Path(row["file"]) for row in csv.DictReader(file)]
    results = []
    for seed in range(arguments.seeds):
        split = eval_tiles.by_part(tiles, seed)
        with tempfile.TemporaryDirectory() as folder:
            model = fitted([arguments.data / names[k] for k in split.fitted], Path(folder), arguments.backbone)
        results.append(compared(model, tiles, names, split, arguments.data, draws=arguments.draws))
        report(seed, results[-1])
    if arguments.json:
        print(json.dumps(results))


def fitted(pictures: Sequence[Path], folder: Path, backbone: str) -> Model:
    """What a user does: a folder of good pictures, `edge fit`."""
    good = folder / "good"
    good.mkdir()
    for picture in pictures:
        (good / picture.name).symlink_to(picture.resolve())
    command = [sys.executable, "-m", "edge", "fit", str(good), "-o", str(folder / "model"), "--method", "memory"]
    subprocess.run(
        [*command, "--pose", "texture", "--backbone", backbone, "--keep-outliers"], check=True, stdout=subprocess.DEVNULL
    )
    self_test = json.loads((folder / "model" / "self_test.json").read_bytes())
    cells = {(c["kind"], c["size_px"], c["contrast"]): c["recall"] for c in self_test["cells"]}
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession((folder / "model" / "model.onnx").read_bytes(), options)
    return Model(session, cells, self_test["threshold"])


def compared(
    model: Model,
    tiles: Sequence[eval_tiles.Tile],
    names: Sequence[Path],
    split: eval_tiles.Split,
    data: Path,
    *,
    draws: int,
) -> dict[str, Any]:
    """Promised and found, of planted and of real defects, at both thresholds."""
    good = [k for k in split.tested if tiles[k].kind == eval_tiles.GOOD]
    halves = sorted({tiles[k].part for k in good})[::2]
    calibrated, _ = choose_high(
        [float(model.scored(tiles[k].pixels).max()) for k in good if tiles[k].part in halves], 0.02, None
    )
    unseen = [tiles[k].pixels for k in good if tiles[k].part not in halves]
    maxima = np.array([model.scored(picture).max() for picture in unseen])
    contrasts = sorted({contrast for _, _, contrast in model.cells})
    found: dict[str, Any] = {
        "thresholds": {"self_test": model.threshold, "calibrated": calibrated},
        "planted": {},
        "real": {},
    }
    found["false_rejects"] = {name: float((maxima >= at).mean()) for name, at in found["thresholds"].items()}
    for name, threshold in found["thresholds"].items():
        pairs = [(p, model.scored) for p, m in zip(unseen, maxima, strict=True) if m < threshold]
        size, values = pairs[0][0].shape, model.scored(pairs[0][0]).shape
        cells = pasted_cells(pairs, (size[1] / values[1], size[0] / values[0]), threshold, contrasts, draws, moved=False)
        found["planted"][name] = [
            {
                "kind": c.kind,
                "size_px": c.size_px,
                "contrast": c.contrast,
                "promised": model.cells[c.kind, c.size_px, c.contrast],
            }
            | {"found": c.recall}
            for c in cells
        ]
        found["real"][name] = list(real_defects(model, tiles, names, split, data, threshold))
    return found


def real_defects(
    model: Model,
    tiles: Sequence[eval_tiles.Tile],
    names: Sequence[Path],
    split: eval_tiles.Split,
    data: Path,
    threshold: float,
) -> Iterator[dict[str, Any]]:
    """Every real defect of the tested parts: kind, size, contrast, what was promised of such, whether it is seen."""
    for k in eval_tiles.defects(tiles, split):
        mask_file = data / "ground_truth" / tiles[k].kind / f"{names[k].stem}_mask.png"
        mask = cv2.imread(str(mask_file), cv2.IMREAD_GRAYSCALE)
        if mask is None or not mask.any():
            continue
        over = model.scored(tiles[k].pixels) >= threshold
        count, labels, boxes, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8))
        for label in range(1, count):
            x, y, width, height, area = (int(v) for v in boxes[label])
            if area < LEAST_PX:
                continue
            line = LIKE[tiles[k].kind] == "crack"
            size_px = max(width, height) / 2 if line else float(np.sqrt(4 * area / np.pi))
            contrast = contrast_of(tiles[k].pixels, labels == label, mask > 0)
            across, down = mask.shape[1] / over.shape[1], mask.shape[0] / over.shape[0]
            rows = slice(max(0, int((y - NEAR_PX) / down)), int(np.ceil((y + height + NEAR_PX) / down)))
            columns = slice(max(0, int((x - NEAR_PX) / across)), int(np.ceil((x + width + NEAR_PX) / across)))
            promised = model.promised(LIKE[tiles[k].kind], size_px, contrast)
            seen = bool(over[rows, columns].any())
            yield {"kind": tiles[k].kind, "size_px": size_px, "contrast": contrast, "promised": promised, "seen": seen}


def contrast_of(picture: NDArray[np.uint8], own: NDArray[np.bool_], marked: NDArray[np.bool_]) -> float:
    """How far the defect's mean lies from that of the good ring around it, over the picture's bright level."""
    ring = cv2.dilate(own.astype(np.uint8), np.ones((2 * RING_PX + 1,) * 2, np.uint8)).astype(bool) & ~marked
    if not ring.any():
        return 0.0
    values = picture[:, :, 0].astype(float)
    return float(abs(values[own].mean() - values[ring].mean()) / max(1.0, bright_level(picture)[0]))


def report(seed: int, found: dict[str, Any]) -> None:
    """Print, for each threshold, promised and found by kind and size, and the largest differences."""
    for name, threshold in found["thresholds"].items():
        rejects = found["false_rejects"][name]
        print(f"split {seed}, {name} threshold {threshold:.3f}, false rejects on other parts {rejects:.3f}")
        for kind_size, rows in grouped(found["planted"][name], lambda c: (c["kind"], c["size_px"])).items():
            promised, seen = (float(np.mean([c[key] for c in rows])) for key in ("promised", "found"))
            print(
                f"  {kind_size[0]:8} {kind_size[1]:3} px  promised {promised:.2f}  found {seen:.2f}  {seen - promised:+.2f}"
            )
        for kind, rows in grouped(found["real"][name], lambda c: c["kind"]).items():
            promised, seen = (float(np.mean([c[key] for c in rows])) for key in ("promised", "seen"))
            print(f"  real {kind:9} of {len(rows):3}: promised {promised:.2f}, found {seen:.2f}")
        sys.stdout.flush()


def grouped(rows: Sequence[dict[str, Any]], key: Any) -> dict[Any, list[dict[str, Any]]]:
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return dict(sorted(groups.items()))


if __name__ == "__main__":
    main()
