"""Estiba: build, store, share and run container images."""

__version__ = "0.1.0"
