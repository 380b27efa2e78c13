"""Looks at the jobs of dbt Cloud, from which a job is known to be silent."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"


def upgrade() -> None:
    """Add the table; no job is judged by a moment before its first look."""
    op.create_table(
        "dbt_jobs_seen",
        sa.Column("project", sa.String(200), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
