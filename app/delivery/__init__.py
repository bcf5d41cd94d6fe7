"""From the outbox to the subscriber."""
