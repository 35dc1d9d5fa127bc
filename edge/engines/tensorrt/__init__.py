"""TensorRT runs a model on an NVIDIA GPU, through pycuda or cuda-python."""
