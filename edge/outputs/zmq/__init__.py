"""Records and previews are published here over ZeroMQ."""
