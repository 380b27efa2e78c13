"""Pure facts and decisions: no Dagster, no HTTP, no clock, no environment; time comes in as an argument."""
