"""The story that `make demo` tells: from a Dockerfile to a service that updates itself when its code changes."""
