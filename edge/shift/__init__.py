"""Why the factory differs from the lab, what a model stands, and which answer wins back what: all of it offline."""
