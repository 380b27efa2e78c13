"""What investigations proved about the category of a record."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"


def upgrade() -> None:
    """Add the table; nothing was proven before it."""
    op.create_table(
        "proven_categories",
        sa.Column("fingerprint", sa.String(200), primary_key=True),
        sa.Column("project", sa.String(200), nullable=False, index=True),
        sa.Column("payload", sa.Text, nullable=False),
    )
