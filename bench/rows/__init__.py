"""One file for each comparison: `row(arena)` makes ready and gives the row."""
