"""Sets of frames: what belongs to one, people's labels on it, and its split into disjoint sides."""
