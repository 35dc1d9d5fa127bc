"""Thresholds are measured here on good frames."""
