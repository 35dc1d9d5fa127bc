"""Each page has a file with its routes here, a template and a script of its own."""
