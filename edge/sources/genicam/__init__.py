"""A GenICam camera gives frames through harvesters and a GenTL producer."""
