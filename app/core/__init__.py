"""Settings, errors, clock, caller, database, secrets, the guarded outbound HTTP client."""
