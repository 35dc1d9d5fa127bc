"""The API for dashboards and scripts, ``/api/v1``: it reads, and nothing in it acts on a daemon."""
