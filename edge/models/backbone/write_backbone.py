"""A backbone is written as one ONNX file that ``edge fit --backbone`` takes on any machine."""

from __future__ import annotations

from pathlib import Path

import onnx

from edge.errors import UserError
from edge.models.backbone.layers import chosen_layers, cut_after, default_layers
from edge.models.backbone.open import Backbone
from edge.storage.disk import write_whole


def write_backbone(backbone: Backbone, path: Path, until: str | None = None, *, force: bool = False) -> int:
    """Write the network up to the layer ``until``, or all of it, and return the file's size in bytes.

    The layers that serve best, and where the weights come from, stand in the file's metadata. The same network gives the
    same bytes.

    Raises:
        UserError: no such layer; the file exists and ``force`` is false; it can't be written.
    """
    if path.exists() and not force:
        raise UserError(f"{path}: the file exists", fix="give --force to replace it, or name another file")
    model, layers = backbone.model, backbone.layers
    if until is not None:
        last = chosen_layers(layers, [until], backbone.what, "--until")[0]
        layers = layers[: layers.index(last) + 1]
        outputs = [layer.name for layer in layers if layer.name in {o.name for o in model.graph.output} | {until}]
        model = cut_after(model, outputs)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    best = default_layers(backbone.model, layers)
    properties = {p.key: p.value for p in model.metadata_props} | backbone.provenance
    properties["layers"] = ",".join(layer.name for layer in best)
    onnx.helper.set_model_props(copy, properties)
    data = copy.SerializeToString(deterministic=True)
    try:
        write_whole(path, data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return len(data)
