"""Records go out here, each output in a thread of its own behind a bounded queue."""

from edge.outputs.protocol import MakeArchive, Output, OutputStatus

__all__ = ["MakeArchive", "Output", "OutputStatus"]
