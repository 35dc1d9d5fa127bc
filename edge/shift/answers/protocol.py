"""An answer takes a bundle and a few good frames of the factory and proposes another bundle, or says why it can't.

Whether a proposal is any good is not its business: ``edge.shift.bundle_trial`` measures that, on frames that it never saw.
A new answer is one file beside this one, which defines ``propose``, and one row in ``edge.shift.answers.table``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import onnx
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec
from edge.frames import Frame
from edge.models import graphs

Pictures: TypeAlias = Sequence[NDArray[Any]]
"""Pictures are as the graph takes them: uint8 or uint16 (H, W, C), resized and registered."""


class NotOffered(Exception):  # noqa: N818  (says what it is)
    """The answer can't be given here; the text says why, for people."""


@dataclass
class Situation:
    """What an answer may look at.

    ``frames``: good frames of the factory, as the line's model gets them. ``pictures``: the same as the graph takes them;
    frames whose part lies out of place are in neither. ``lab``: up to 24 pictures of the frames that the model was made
    from; None if the bundle keeps none, and ``lab_missing`` says how to give some. ``self_test``: the bundle's
    ``self_test.json``, None without one. ``backbone``: where the bundle's backbone lies, if that is a file.
    """

    bundle: Bundle
    frames: Sequence[Frame]
    pictures: Pictures
    lab: Pictures | None
    lab_missing: str
    self_test: Mapping[str, Any] | None
    backbone: Path | None = None

    @property
    def method(self) -> str:
        """The method that ``edge fit`` made the bundle by; empty for a model from elsewhere."""
        return str(self.bundle.spec.provenance.get("method", ""))

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """The bundle's graph. An answer copies it before it changes anything."""
        return graphs.load_model(self.bundle.model_path)

    def copy(self) -> onnx.ModelProto:
        """The graph to be changed."""
        model = onnx.ModelProto()
        model.CopyFrom(self.graph)
        return model

    def known_lab(self) -> Pictures:
        """The lab's pictures. Raises NotOffered without any."""
        if not self.lab:
            raise NotOffered(self.lab_missing)
        return self.lab


@dataclass(frozen=True, slots=True)
class Proposal:
    """A bundle that might do better. ``model`` None: the graph stays. ``spec``: its files are filled in when it is written.

    ``files``: others that belong into the bundle, by name. ``summary``: what was done, with its figures, in words.
    ``keeps_statistics``: the bundle can be continued by ``edge fit --add`` as before.
    """

    summary: str
    model: onnx.ModelProto | None
    spec: BundleSpec
    files: Mapping[str, bytes] = field(default_factory=dict)
    keeps_statistics: bool = False


Propose: TypeAlias = Callable[[Situation], Proposal]


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer, known without importing it. ``weight``: for answers that take a number, such as that of new frames."""

    name: str
    summary: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def propose(self, situation: Situation) -> Proposal:
        """Ask the answer's file.

        Raises:
            NotOffered: it can't be given here, and why.
        """
        asked: Proposal = import_module(f"edge.shift.answers.{self.module}").propose(situation, **self.options)
        return asked
