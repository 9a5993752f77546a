"""What both ends of the distribution protocol agree on (distribution-spec 1.1): tables, grammar and headers; no I/O."""
