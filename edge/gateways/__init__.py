"""Gateways put a line's verdicts into other networks' words. Each is a process of its own that subscribes."""
