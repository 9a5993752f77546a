"""Putting a release where it runs: a pure plan of steps with reasons, and an executor that can take them back."""
