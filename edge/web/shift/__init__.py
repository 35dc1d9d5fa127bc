"""Shift is what the page knows of a line's change: the course of its statistics, its causes, and the answers to it."""
