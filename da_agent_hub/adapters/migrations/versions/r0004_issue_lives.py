"""Several records to one issue, where a digest stands for them, and where each issue is in its life."""

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"


def upgrade() -> None:
    """Move the links to a table whose rows are unique by both; SQLite cannot take the old constraint off."""
    op.create_table(
        "record_issues",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("fingerprint", sa.String(200), nullable=False),
        sa.Column("issue_key", sa.String(400), nullable=False),
    )
    op.create_index("record_issues_once", "record_issues", ["fingerprint", "issue_key"], unique=True)
    op.create_index("record_issues_by_issue", "record_issues", ["issue_key"])
    op.execute(
        "INSERT INTO record_issues (fingerprint, issue_key) SELECT fingerprint, issue_key FROM issue_links ORDER BY seq"
    )
    op.drop_table("issue_links")
    op.create_table(
        "issue_lives",
        sa.Column("issue_key", sa.String(400), primary_key=True),
        sa.Column("project", sa.String(200), nullable=False, index=True),
        sa.Column("state", sa.String(30), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
