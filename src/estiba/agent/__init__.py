"""The DevOps agent: it hears that a branch has a new version, builds it, pushes the image and updates what runs."""
