"""The tar format as layers use it (POSIX.1-2001 ustar and pax; reading GNU's too)."""
