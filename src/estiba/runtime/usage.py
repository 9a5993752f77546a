"""What `--help` says of each verb: a summary, its operands, and what its flags mean (docs/runtime.md has the whole)."""

from __future__ import annotations

from estiba.runtime.arguments import SHORT, SHORT_OF_VERB, VERBS

# verb -> (what it does, its operands)
SUMMARIES: dict[str, tuple[str, str]] = {
    "create": ("make a container from a bundle, up to its program", "ID"),
    "run": ("create and start a container, and wait for its end unless --detach is given", "ID"),
    "start": ("let the program of a created container begin", "ID"),
    "state": ("print a container's state as JSON", "ID"),
    "kill": ("send a signal to a container's first process, by default TERM", "ID [SIGNAL]"),
    "delete": ("remove what is left of a stopped container", "ID"),
    "exec": ("run one more program in a running container", "ID COMMAND [ARGUMENT...]"),
    "ps": ("list a container's processes, as ps(1) does or as JSON", "ID [OPTION OF PS...]"),
    "list": ("list the containers under the root", ""),
    "pause": ("stop every process of a container", "ID"),
    "resume": ("let the processes of a paused container go on", "ID"),
    "update": ("change the limits of a container that runs", "ID"),
    "events": ("print what a container uses, and each kill for want of memory", "ID"),
    "features": ("print what this runtime can do, as JSON", ""),
    "spec": ("write a config.json to start from", ""),
    "checkpoint": ("is not there yet", "ID"),
    "restore": ("is not there yet", "ID"),
}

FLAGS: dict[str, str] = {
    "bundle": "the directory with config.json (default: the working directory)",
    "config": "a config.json elsewhere",
    "pid-file": "a file for the process's number",
    "console-socket": "a unix socket that gets the terminal",
    "pidfd-socket": "a unix socket that gets a descriptor of the process",
    "preserve-fds": "how many descriptors behind 2 the program keeps",
    "no-pivot": "change the root without pivot_root, for an initramfs",
    "no-new-keyring": "share the caller's session keyring",
    "detach": "do not wait for the end",
    "keep": "keep the record of a container that has ended",
    "no-subreaper": "accepted, and without effect",
    "all": "to every process of the container",
    "force": "kill a running container before, and accept that it is gone",
    "process": "a file with the runtime-spec's process object",
    "tty": "with a terminal",
    "env": "NAME=value, may be repeated",
    "cwd": "the working directory",
    "user": "UID[:GID]",
    "additional-gids": "one more group, may be repeated",
    "cap": "one more capability, may be repeated",
    "no-new-privs": "no program gains rights by being executed",
    "cgroup": "[CONTROLLER,...:]PATH of a group below the container's, may be repeated",
    "ignore-paused": "also in a paused container, where it waits",
    "process-label": "the SELinux label",
    "apparmor": "the AppArmor profile",
    "format": "table or json",
    "quiet": "ids only",
    "resources": "a file with the runtime-spec's resources object, - for standard input",
    "memory": "bytes, or with a unit such as 32M; -1 lifts the limit",
    "memory-reservation": "the soft limit",
    "memory-swap": "memory and swap together",
    "kernel-memory": "accepted, and without effect: kernels have no such limit any more",
    "kernel-memory-tcp": "accepted, and without effect: kernels have no such limit any more",
    "cpu-period": "microseconds",
    "cpu-quota": "microseconds of each period",
    "cpu-burst": "microseconds that may be saved up",
    "cpu-idle": "1 for what runs only when nothing else does",
    "cpu-share": "the weight among others",
    "cpu-rt-period": "microseconds, of realtime programs",
    "cpu-rt-runtime": "microseconds of each such period",
    "cpuset-cpus": "processors, such as 0-1,3",
    "cpuset-mems": "memory nodes",
    "pids-limit": "the most processes; -1 lifts the limit",
    "blkio-weight": "the weight of disk access, 10 to 1000",
    "l3-cache-schema": "is not there yet",
    "mem-bw-schema": "is not there yet",
    "stats": "once, without waiting",
    "interval": "how long between two lines, such as 5s",
    "rootless": "for an ordinary user",
}


def usage_of(verb: str) -> str:
    """The help of one verb."""
    summary, operands = SUMMARIES[verb]
    flags = VERBS[verb]
    parts = [f"NAME:\n   estiba-runtime {verb} - {summary}\n", "USAGE:"]
    parts.append(f"   estiba-runtime {verb} {'[flags] ' if flags else ''}{operands}".rstrip() + "\n")
    if flags:
        parts.append("FLAGS:")
        letters = {name: letter for letter, name in SHORT.items()}
        letters |= {name: letter for (owner, letter), name in SHORT_OF_VERB.items() if owner == verb}
        for name, has_value in flags.items():
            letter = f", -{letters[name]}" if name in letters else ""
            spelling = f"--{name}{letter}{' VALUE' if has_value else ''}"
            parts.append(f"   {spelling:<34} {FLAGS[name]}")
    return "\n".join(parts).rstrip() + "\n"
