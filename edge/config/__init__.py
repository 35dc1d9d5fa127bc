"""Config reads and checks what people and tools declare: the YAML of a line, of a bundle and of a calibration file."""
