"""The table of commands. Only the module of the command that was asked for is imported."""

from __future__ import annotations

from estiba.values import NamedTuple


class Command(NamedTuple):
    """`module` is the file below `estiba.cli`; "" marks a command that Estiba does not have yet."""

    module: str
    summary: str


CONTAINERS = {
    "run": Command("run", "Create and start a container, and attach to it"),
    "exec": Command("exec", "Run a command in a running container"),
    "ps": Command("ps", "List containers"),
    "logs": Command("logs", "Show what a container wrote"),
    "create": Command("create", "Create a container without starting it"),
    "start": Command("start", "Start containers"),
    "stop": Command("stop", "Stop containers: signal, wait, kill"),
    "restart": Command("restart", "Stop and start containers"),
    "kill": Command("kill", "Send a signal to containers"),
    "rm": Command("rm", "Remove containers"),
    "pause": Command("pause", "Stop every process of containers"),
    "unpause": Command("unpause", "Let the processes of containers go on"),
    "update": Command("update", "Change limits and restart policy of containers"),
    "wait": Command("wait", "Wait for containers to end and print their exit codes"),
    "attach": Command("attach", "Attach to a running container"),
    "rename": Command("rename", "Rename a container"),
    "top": Command("top", "List the processes of a container"),
    "stats": Command("stats", "Show what containers use, as it goes on"),
    "port": Command("port", "List a container's published ports"),
    "commit": Command("commit", "Make an image from a container"),
    "cp": Command("cp", "Copy files between a container and the host"),
    "export": Command("export", "Write a container's files as a tar"),
    "diff": Command("diff", "Show what a container has changed of its image's files"),
    "container": Command("container", "Commands for containers"),
    "volume": Command("volume", "Commands for volumes"),
    "network": Command("network", "Commands for networks"),
}

IMAGES = {
    "build": Command("build", "Build an image from a Dockerfile"),
    "bootstrap": Command("bootstrap", "Make a base image from the distribution's own packages"),
    "images": Command("images", "List images"),
    "rmi": Command("rmi", "Remove images"),
    "tag": Command("tag", "Give an image a further name"),
    "history": Command("history", "Show what made an image's layers"),
    "inspect": Command("inspect", "Show all about images and containers"),
    "save": Command("save", "Write images to an archive"),
    "load": Command("load", "Read images from an archive"),
    "import": Command("image_import", "Make an image from a tar of files"),
    "image": Command("image", "Commands for images"),
}

SHARING = {
    "pull": Command("pull", "Fetch an image from a registry"),
    "push": Command("push", "Send an image to a registry"),
    "copy": Command("copy", "Copy an image between registries, layouts and archives"),
    "tags": Command("tags", "List the tags of a repository in its registry"),
    "catalog": Command("catalog", "List the repositories of a registry"),
    "search": Command("search", "List the repositories of a registry with a word in their names"),
    "digest": Command("digest", "Show the digest that a name has in its registry"),
    "manifest": Command("manifest", "Compose, show and push lists of images for several platforms"),
    "artifact": Command("artifact", "Keep files that are no images in a registry"),
    "referrers": Command("referrers", "List what refers to an image: signatures, attestations"),
    "login": Command("login", "Keep credentials for a registry"),
    "logout": Command("logout", "Forget credentials for a registry"),
    "registry": Command("registry", "Serve and inspect a registry"),
    "agent": Command("agent", "Serve the DevOps agent: webhook, build, push, redeploy"),
}

MACHINE = {
    "daemon": Command("daemon", "Serve the Docker Engine API, for Docker's own tools"),
    "doctor": Command("doctor", "Say what works on this machine, what does not, and why"),
    "df": Command("df", "Show what takes space"),
    "gc": Command("gc", "Free what nothing refers to"),
    "prune": Command("prune", "Remove what is not used, after showing the plan"),
    "system": Command("system", "Commands for the whole system"),
    "fsck": Command("fsck", "Check the whole store"),
    "version": Command("version", "Show the version"),
}

NOT_THERE_YET = {
    "up": Command("", "Build and run the project in this directory"),
    "init": Command("", "Write a Dockerfile and an estiba.toml for a project"),
    "deploy": Command("", "Deploy an app to a target"),
    "function": Command("", "Serve images as functions"),
    "webapp": Command("", "Serve images as web apps"),
    "compose": Command("", "Run compose files"),
    "events": Command("", "Stream what happens"),
    "info": Command("", "Show the system's state"),
}

OUTSIDE = frozenset(
    (
        "tags",
        "catalog",
        "search",
        "digest",
        "manifest",
        "artifact",
        "referrers",
        "login",
        "logout",
        "registry",
        "doctor",
        "version",
    )
)
"""Modules of commands that touch no store: an ordinary user's ids need not be mapped for them."""

GROUPS: tuple[tuple[str, dict[str, Command]], ...] = (
    ("Containers", CONTAINERS),
    ("Images", IMAGES),
    ("Sharing and automating", SHARING),
    ("This machine", MACHINE),
)


def find(name: str) -> Command | None:
    """The command called `name`, also one that is not there yet; None if there is none."""
    for _, commands in GROUPS:
        if name in commands:
            return commands[name]
    return NOT_THERE_YET.get(name)


def names() -> tuple[str, ...]:
    """The names of all commands that are there."""
    return tuple(name for _, commands in GROUPS for name in commands)
