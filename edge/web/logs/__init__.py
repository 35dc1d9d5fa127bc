"""A line's log is found again here: an index beside nothing of the line's own, searches over it, and what made a record."""
