"""One handler for each endpoint and method: what it is asked, and the answer. `table.py` lists them."""
