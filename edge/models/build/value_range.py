"""The network is fed these values; its head may say that it wants others.

Nothing in an ONNX file declares the range of its input. What can be seen is a head that scales: a division by 255 or by
127.5 in front of the network means that it wants 0 to 255.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models import graphs
from edge.models.build.foreign import ModelInput
from edge.models.build.options import BuildOptions
from edge.models.build.wrap import InputTransform

_LARGE_SHIFT: Final = 2.0
"""A mean or an offset beyond is none of pixels from 0 to 1 (ImageNet's are below 0.5)."""
_LARGE_FACTOR: Final = 10.0
"""A divisor beyond, or a factor below its inverse, scales whole grey levels (ImageNet's deviations divide by 0.22)."""
_PASSED: Final = frozenset(
    {"Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Resize", "Slice", "Gather"}
)
_LONGEST: Final = 12


def values_fed(transform: InputTransform, taken: ModelInput) -> tuple[float, float]:
    """Return the lowest and highest value that any channel of the network can get from a frame."""
    white = 2**transform.bits - 1
    if taken.dtype == "uint8":
        return 0.0, float(white)
    scale = 1 / white if transform.scale is None else transform.scale
    mean, std = (np.array(values) for values in (transform.mean or (0.0,), transform.std or (1.0,)))
    ends = np.concatenate([(np.array([0.0]) - mean) / std, (white * scale - mean) / std])
    return float(ends.min()), float(ends.max())


def check_values(model: onnx.ModelProto, taken: ModelInput, options: BuildOptions, path: Path) -> None:
    """Refuse to guess where numbers that were given, or the model's own head, are on the scale of whole grey levels.

    Raises:
        UserError: names the numbers, and how to say which values the model wants.
    """
    if options.scale is not None or taken.dtype == "uint8":
        return
    for option, values, most in (("--mean", options.mean, _LARGE_SHIFT), ("--std", options.std, _LARGE_FACTOR)):
        if values is not None and max(map(abs, values)) > most:
            raise UserError(
                f"{option} is on the scale of whole grey levels, and pixels are brought to 0 to 1 first",
                received=", ".join(f"{v:g}" for v in values),
                expected=f"at most {most:g} for the default --scale, which is 1/{2**options.bits - 1}",
                fix="say --scale 1",
            )
    head = _scaling_head(model, taken.name)
    if head is not None:
        raise UserError(
            f"{path}: this model scales its picture by itself",
            received=f"{head}, in front of which the default would put values of 0 to 1",
            expected="values of 0 to 255 as it seems, so no scale",
            fix=f"say --scale 1, or --scale {1 / (2**options.bits - 1):.6g} if it does want 0 to 1",
        )


def metadata_warning(path: Path) -> tuple[str, ...]:
    """Anomalib 0.x leaves mean and deviation out of the graph, and thresholds in a file beside it."""
    beside = path.with_name("metadata.json")
    if not beside.is_file():
        return ()
    return (
        f"{beside} is not read: exporters that write one leave their normalisation out of the graph (anomalib 0.x: "
        "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225)",
    )


def _scaling_head(model: onnx.ModelProto, name: str) -> str | None:
    """The first arithmetic behind the input, in words, if its constants are on the scale of whole grey levels."""
    for _ in range(_LONGEST):
        readers = [n for n in model.graph.node if name in n.input and n.op_type not in ("Shape", "Size")]
        if len(readers) != 1:
            return None
        node = readers[0]
        if node.op_type in ("Sub", "Add", "Mul", "Div") and len(node.input) == 2:
            other = node.input[1] if node.input[0] == name else node.input[0]
            value = graphs.constant(model, other)
            if value is None or not value.size:
                return None
            if _is_large(node.op_type, value):
                return f"{node.op_type} by {', '.join(f'{v:g}' for v in value.ravel()[:3])}"
        elif node.op_type not in _PASSED or node.input[0] != name:
            return None
        name = node.output[0]
    return None


def _is_large(operator: str, value: NDArray[np.generic]) -> bool:
    largest = float(np.abs(value.astype(np.float64)).max())
    if operator in ("Sub", "Add"):
        return largest > _LARGE_SHIFT
    return largest > _LARGE_FACTOR if operator == "Div" else 0 < largest < 1 / _LARGE_FACTOR
