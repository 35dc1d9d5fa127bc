"""Tuning judges a whole recording anew while a control moves. The front hands messages on; a worker does the work."""
