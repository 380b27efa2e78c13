"""Experts and, with a key, the bounded Claude loop."""
