"""Alembic's environment; `relo_server.platform.migrate` runs it. Migrations only go forward."""
