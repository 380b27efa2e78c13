"""Broken dbt projects that nobody who wrote the hub has seen, and the grade of what the hub makes of them."""
