"""SQLModel tables, one family per file; importing this package registers them all in SQLModel.metadata."""

from app.models import audit, binaries, clients, delivery, history, packages, resources, search_rows

__all__ = ["audit", "binaries", "clients", "delivery", "history", "packages", "resources", "search_rows"]
