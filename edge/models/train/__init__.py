"""Training: a small network learns defects from synthetic and labelled ones, and is fused with the memory of ``edge fit``.

PyTorch is needed here and nowhere else; only ``head.py``, ``losses.py`` and ``loop.py`` import it, and ``train.py`` imports
these when a training begins.
"""
