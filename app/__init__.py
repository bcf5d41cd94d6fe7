"""Warm Handoff: a FHIR R4 referral service that closes the loop."""
