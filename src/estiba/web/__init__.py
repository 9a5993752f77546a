"""The thin layer on the HTTP library: listening, draining, bodies that stream in, files that stream out."""
