"""Kernel calls: the only room that knows system call numbers, ctypes, mount flags and netlink."""
