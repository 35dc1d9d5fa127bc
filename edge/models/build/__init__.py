"""A foreign ONNX model becomes a bundle here."""
