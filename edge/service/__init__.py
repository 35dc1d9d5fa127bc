"""A line runs here as a service: signals, systemd, health, reload, and what finds running lines."""
