"""Measurements of leaderd on this machine: `python -m bench`, or `make bench`."""
