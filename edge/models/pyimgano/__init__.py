"""Settings of pyimgano are read here and become settings of ours."""
