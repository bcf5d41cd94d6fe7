"""Measures the server against the bare database, in one run on one machine."""
