"""The tables of the store; the migrations make them."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("started", sa.String(32), nullable=False, index=True),
    sa.Column("finished", sa.String(32)),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),  # running, finished, stopped, failed
    sa.Column("score", sa.Integer),
    sa.Column("controller", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer),
    sa.Column("report", sa.Text),
    sa.Column("scope", sa.Text, nullable=False, server_default=""),  # the inventory
    sa.Column("selection", sa.Text, nullable=False, server_default=""),  # which hosts and classes of it
    sa.Index("runs_of_scope", "scope", "started"),
)

run_hosts = sa.Table(
    "run_hosts",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("score", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("check", sa.Text, primary_key=True),
    sa.Column("resource", sa.Text, primary_key=True),
    sa.Column("class", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("grade", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),
    sa.Index("findings_through_time", "host", "check", "resource", "run_id"),
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("predicted", sa.Boolean, nullable=False),
)

#: Since when each finding that was ever open is as it is now. Runs may go; this stays.
lives = sa.Table(
    "lives",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("check", sa.Text, primary_key=True),
    sa.Column("resource", sa.Text, primary_key=True),
    sa.Column("there", sa.Boolean, nullable=False),
    sa.Column("since", sa.String(32), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("mended", sa.Boolean, nullable=False),
)
