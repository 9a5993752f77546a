"""One file per verb of the command line (runtime-spec, runtime.md, "Operations", and runc's own)."""
