"""What the standard says: definitions as data, registry, validation, references, OperationOutcome, capability."""
