"""Alembic's migrations of the catalogue; `metadata/upgrade.py` runs them."""
