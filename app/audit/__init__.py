"""Every access, allowed or refused, written to a trail that only grows."""
