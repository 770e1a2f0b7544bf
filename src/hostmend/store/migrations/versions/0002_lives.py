"""The lives of findings, and what makes runs comparable."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table and the columns."""
    for name in ("scope", "selection"):
        op.add_column("runs", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.create_index("runs_of_scope", "runs", ["scope", "started"])
    op.create_table(
        "lives",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("check", sa.Text, primary_key=True),
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("there", sa.Boolean, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("mended", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("lives")
    op.drop_index("runs_of_scope", "runs")
    for name in ("selection", "scope"):
        op.drop_column("runs", name)
