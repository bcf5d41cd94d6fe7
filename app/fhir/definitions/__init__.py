"""Facts of the standard, as JSON tables: ``types.json`` is written by hand, the others by the generator."""
