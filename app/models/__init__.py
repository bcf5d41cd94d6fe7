"""SQLModel tables, one family per file; importing this package registers them all in SQLModel.metadata."""

from app.models import binaries, clients, delivery, history, packages, resources, search_rows

__all__ = ["binaries", "clients", "delivery", "history", "packages", "resources", "search_rows"]
