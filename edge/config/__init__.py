"""What people and tools declare is read and checked here: the YAML of a line, a bundle and a calibration file."""
