"""Layers: a tree becomes a reproducible tar and a tar becomes a tree again; whiteouts, compression, differences."""
