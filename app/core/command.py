"""Which command the operator has given."""

from contextvars import ContextVar

COMMAND: ContextVar[str] = ContextVar("command", default="command")
"""Its words, such as ``client add``, without what was given to it."""
