"""What can be done about a shift: each answer is one file here and one row in ``table.py``."""
