"""A running line is put together here: ring, three loops, state, drain, recording and replay."""
