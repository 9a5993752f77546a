"""The contenders' engines and registries, each behind the same few methods."""
