"""Alembic migrations of the record store; they run by themselves when the store is opened."""
