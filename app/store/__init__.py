"""The only room that queries resource tables."""
