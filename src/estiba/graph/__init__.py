"""The graph of a build: steps as values, a plan of what is needed, and a scheduler that runs it."""
