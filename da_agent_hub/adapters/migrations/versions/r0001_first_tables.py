"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what release 0.1 needs."""
    op.create_table(
        "dbt_runs",
        sa.Column("project", sa.String(200), primary_key=True),
        sa.Column("run_id", sa.String(200), primary_key=True),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("unread", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_index("dbt_runs_by_finish", "dbt_runs", ["project", "finished_at"])
    op.create_table(
        "dbt_graphs",
        sa.Column("project", sa.String(200), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("run_id", sa.String(200), nullable=False),
        sa.Column("as_of", TIME, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "dbt_lineage",
        sa.Column("project", sa.String(200), primary_key=True),
        sa.Column("as_of", TIME, nullable=False),
        sa.Column("nodes", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "error_records",
        sa.Column("fingerprint", sa.String(200), primary_key=True),
        sa.Column("project", sa.String(200), nullable=False, index=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "issue_links",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("fingerprint", sa.String(200), nullable=False, index=True),
        sa.Column("issue_key", sa.String(400), nullable=False, unique=True),
    )
    op.create_table(
        "filed_marks",
        sa.Column("project", sa.String(200), primary_key=True),
        sa.Column("until", TIME, nullable=False),
    )
    op.create_table(
        "inbox_events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(400), nullable=False, unique=True),
        sa.Column("issue_key", sa.String(400), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("happened_at", TIME, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("plan", sa.Text),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("finished", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text),
    )
    op.create_index("inbox_events_waiting", "inbox_events", ["finished", "issue_key", "happened_at"])
    op.create_table("stop_flags", sa.Column("issue_key", sa.String(400), primary_key=True))
    op.create_table(
        "leases",
        sa.Column("scope", sa.String(400), primary_key=True),
        sa.Column("holder", sa.String(400), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_table(
        "run_requests",
        sa.Column("scope", sa.String(400), primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("cleared_attempts", sa.Integer, nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
    )
    op.create_table(
        "investigations",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("issue_key", sa.String(400), nullable=False),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("investigator", sa.String(100), nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_index("investigations_once", "investigations", ["issue_key", "key"], unique=True)
    op.create_table(
        "fixes",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("issue_key", sa.String(400), nullable=False),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("pull_request", sa.String(400), index=True),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_index("fixes_once", "fixes", ["issue_key", "key"], unique=True)
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(400), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
