"""Control groups that systemd makes: a container's group is a transient scope (systemd.scope(5)), asked for over D-Bus.

Loaded only where systemd is asked for. The files of the group are written as without it: systemd knows few of them.
"""
