"""Models are made here from good frames alone."""
