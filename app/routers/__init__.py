"""FHIR and OAuth over HTTP: reads the request, calls one interaction, writes the answer; no rules, no SQL."""
