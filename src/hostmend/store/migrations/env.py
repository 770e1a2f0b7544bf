"""Runs the migrations on the connection that the store hands over."""

from __future__ import annotations

from alembic import context

from hostmend.store import tables

context.configure(
    connection=context.config.attributes["connection"], target_metadata=tables.metadata, render_as_batch=True
)
context.run_migrations()
