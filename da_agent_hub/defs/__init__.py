"""Dagster definitions, thin: a body gathers, calls one stage and returns with metadata."""
