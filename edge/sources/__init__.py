"""Frames come from here: cameras, folders, generators, each kind in a file or folder of its own."""

from edge.sources.open import check_source, open_source
from edge.sources.protocol import Source, SourceStatus

__all__ = ["Source", "SourceStatus", "check_source", "open_source"]
