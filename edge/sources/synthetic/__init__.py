"""Synthetic parts are drawn here, with exact defects."""
