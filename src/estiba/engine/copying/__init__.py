"""Files between the host and a container: what goes where (plan), the stream (tar), and the container's side."""
