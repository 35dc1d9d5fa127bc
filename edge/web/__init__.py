"""The page shows the lines of this machine in a browser. It is a process of its own, which subscribes and reads."""
