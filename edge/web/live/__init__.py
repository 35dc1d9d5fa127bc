"""What the lines say now is heard once, and handed to every browser that looks."""
