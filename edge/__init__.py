"""Streaming defect inspection for factory cameras: frames in, verdicts out."""

__version__ = "0.1.0"
