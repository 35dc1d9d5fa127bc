"""Live statistics of a line's frames: whether the world changed since the calibration, and which part of it (pure)."""
