"""One file per thing a caller can do; each runs in one transaction."""
