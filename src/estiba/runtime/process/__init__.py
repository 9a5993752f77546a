"""The chain of processes that becomes a container: parent -> intermediate -> init.

parent        the verb's process, on the host: control group, id maps, hooks, state; speaks over the channel
intermediate  joins and creates namespaces; its child is the first in a new PID namespace; ends at once
init          builds the root filesystem, gives up every privilege, waits for `start`, becomes the program
"""
