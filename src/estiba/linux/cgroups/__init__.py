"""Control groups (cgroups(7)): where the hierarchies are mounted, and one container's group in all of them."""
