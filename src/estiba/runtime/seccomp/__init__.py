"""Which system calls a container may make: the default rules, the tables of numbers, and the compiler to BPF."""
