"""A camera's bytes become the picture that the graph takes; everything here is pure."""
