"""Killing the hub at moments that nobody chose, and judging from GitHub's side what is left."""
