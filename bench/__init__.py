"""Estiba and the peers that are installed, side by side in one run: `make bench`."""
