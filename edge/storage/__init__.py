"""Everything kept on a disk is written and read here: pictures, recordings, log files, whole writes and locks."""
