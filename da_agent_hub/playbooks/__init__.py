"""The deterministic investigator and fixer: looks at code, history and data, and says so where it does not know."""
