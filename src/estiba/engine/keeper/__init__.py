"""The keeper: the small process that starts one more process in a container for a server, and waits for its end."""
