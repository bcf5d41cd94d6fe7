"""Query text to a typed plan; no database."""
