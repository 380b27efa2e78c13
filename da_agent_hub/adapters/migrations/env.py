"""Runs migrations inside the transaction that the record store has begun, so that they happen wholly or not at all."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=False,
)
context.run_migrations()
