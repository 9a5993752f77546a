"""One file for each noun of the API; `table.py` says which function answers which request."""
