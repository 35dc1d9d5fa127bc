"""The log is written here: one JSON line for each record."""
