"""Tools of the field that take images and give them, each in its own words, behind one form.

A place is written as skopeo writes it: ``docker-archive:FILE``, ``oci-archive:FILE``, ``oci:DIRECTORY:TAG``,
``docker://REFERENCE``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from typing import Protocol

import pytest

NAME = "docker.io/team/matrix:1"


class Peer(Protocol):
    def take(self, place: str) -> str:
        """Take the image that is at `place`; gives its ID as the peer sees it."""

    def give(self, place: str) -> None:
        """Bring the image that was taken last to `place`."""


def run(*command: str, **options) -> str:
    """A command to its end; a missing program skips the test."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110, check=False, **options
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def split(place: str) -> tuple[str, str]:
    """The kind of a place, and the rest: a path, or a reference."""
    kind, _, rest = place.partition(":")
    return kind, rest.removeprefix("//")


class DockerCommand:
    """The docker command line, of whatever version, with a daemon on a socket."""

    def __init__(self, program: str, socket: str) -> None:
        self._command = (program, "-H", f"unix://{socket}")
        self._name = ""

    def take(self, place: str) -> str:
        kind, rest = split(place)
        if kind == "docker":
            run(*self._command, "pull", rest)
            self._name = rest
        else:
            run(*self._command, "load", "-i", rest)
            self._name = NAME
        return run(*self._command, "image", "inspect", "-f", "{{.Id}}", self._name).strip()

    def give(self, place: str) -> None:
        kind, rest = split(place)
        if kind == "docker":
            run(*self._command, "tag", self._name, rest)
            run(*self._command, "push", rest)
        else:
            run(*self._command, "save", "-o", rest, NAME)


class DockerLibrary:
    """The Python package `docker`."""

    def __init__(self, socket: str) -> None:
        docker = pytest.importorskip("docker")
        self._client = docker.DockerClient(base_url=f"unix://{socket}", timeout=60)
        self._image = None

    def take(self, place: str) -> str:
        kind, rest = split(place)
        if kind == "docker":
            repository, _, tag = rest.rpartition(":")
            self._image = self._client.images.pull(repository, tag=tag)
        else:
            with open(rest, "rb") as file:
                (self._image,) = self._client.images.load(file)
        return self._image.id

    def give(self, place: str) -> None:
        kind, rest = split(place)
        if kind == "docker":
            repository, _, tag = rest.rpartition(":")
            assert self._image.tag(repository, tag=tag)
            told = list(self._client.images.push(repository, tag=tag, stream=True, decode=True))
            assert not [line for line in told if "error" in line], told
        else:
            with open(rest, "wb") as file:
                for piece in self._image.save(named=NAME.removeprefix("docker.io/")):
                    file.write(piece)

    def close(self) -> None:
        self._client.close()


class Containers:
    """podman and buildah, with a storage of their own below `directory`, whose path is short.

    They work there: podman calls an image by the path of its layout, which must be a name then.
    """

    def __init__(self, program: str, directory: str) -> None:
        places = ("--root", f"{directory}/{program}", "--runroot", f"{directory}/{program}-run")
        self._command = (program, *places, "--storage-driver", "vfs")
        self._directory = directory
        self._id = ""

    def take(self, place: str) -> str:
        told = self._run("pull", "-q", "--tls-verify=false", self._shortened(place))
        self._id = told.split()[-1].removeprefix("sha256:")
        return f"sha256:{self._id}"

    def give(self, place: str) -> None:
        named = f"{place}:{NAME}" if place.partition(":")[0].endswith("-archive") else place
        self._run("push", "-q", "--tls-verify=false", self._id, self._shortened(named))

    def _run(self, *words: str) -> str:
        return run(*self._command, *words, cwd=self._directory)

    def _shortened(self, place: str) -> str:
        return place.replace(f"{self._directory}/", "")


class Skopeo:
    """skopeo, which keeps an image in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = f"{directory}/skopeo"

    def take(self, place: str) -> str:
        shutil.rmtree(self._directory, ignore_errors=True)
        run("skopeo", "copy", "-q", "--src-tls-verify=false", place, f"dir:{self._directory}")
        with open(f"{self._directory}/manifest.json", encoding="utf-8") as file:
            return json.load(file)["config"]["digest"]

    def give(self, place: str) -> None:
        named = f"{place}:{NAME}" if place.partition(":")[0].endswith("-archive") else place
        run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"dir:{self._directory}", named)


class Umoci:
    """umoci, which works on layouts in place."""

    def __init__(self, directory: str) -> None:
        self._bundle = f"{directory}/bundle"
        self._layout = self._tag = ""

    def take(self, place: str) -> str:
        self._layout, _, self._tag = split(place)[1].rpartition(":")
        shutil.rmtree(self._bundle, ignore_errors=True)
        run("umoci", "unpack", "--image", f"{self._layout}:{self._tag}", self._bundle)
        with open(f"{self._bundle}/rootfs/bin/busybox", "rb") as file, open("/usr/bin/busybox", "rb") as original:
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(original.read()).digest()
        with open(f"{self._layout}/index.json", encoding="utf-8") as file:
            manifest = json.load(file)["manifests"][0]["digest"].replace(":", "/")
        with open(f"{self._layout}/blobs/{manifest}", encoding="utf-8") as file:
            return json.load(file)["config"]["digest"]

    def give(self, place: str) -> None:
        """The same image under another author, in a layout that umoci has written."""
        layout, _, tag = split(place)[1].rpartition(":")
        shutil.copytree(self._layout, layout)
        run("umoci", "config", "--image", f"{layout}:{self._tag}", "--tag", tag, "--author", "umoci")
        if tag != self._tag:
            run("umoci", "remove", "--image", f"{layout}:{self._tag}")
        run("umoci", "gc", "--layout", layout)


class Ctr:
    """containerd's own client; `call` runs it."""

    def __init__(self, call) -> None:
        self._call = call
        self._name = ""

    def take(self, place: str) -> str:
        kind, rest = split(place)
        if kind == "docker":
            self._call("images", "pull", "--plain-http", rest, check=True)
            self._name = rest
        else:
            self._call("images", "import", rest, check=True)
            self._name = NAME
        table = self._call("images", "ls", f"name=={self._name}", check=True).stdout.splitlines()
        document = self._content(table[1].split()[2])
        if "manifests" in document:
            document = self._content(document["manifests"][0]["digest"])
        return document["config"]["digest"]

    def _content(self, digest: str) -> dict:
        return json.loads(self._call("content", "get", digest, check=True).stdout)

    def give(self, place: str) -> None:
        kind, rest = split(place)
        if kind == "docker":
            self._call("images", "tag", "--force", self._name, rest, check=True)
            self._call("images", "push", "--plain-http", rest, check=True)
        else:
            if self._name != NAME:
                self._call("images", "tag", "--force", self._name, NAME, check=True)
            self._call("images", "export", rest, NAME, check=True)


def estiba_gives(home, place: str, *, name: str = NAME) -> None:
    """Estiba brings the image `name` to `place`."""
    kind, rest = split(place)
    if kind == "docker":
        home.estiba("tag", name, rest)
        home.estiba("push", "-q", rest)
    elif kind == "oci":
        home.estiba("image", "layout", rest.rpartition(":")[0], name)
    else:
        home.estiba("save", "--format", kind, "-o", rest, name)


def estiba_takes(home, place: str) -> dict:
    """Estiba takes the image that is at `place`; gives what `inspect` says of it."""
    kind, rest = split(place)
    if kind == "docker":
        home.estiba("pull", "-q", rest)
    else:
        home.estiba("load", "-q", "-i", rest.rpartition(":")[0] if kind == "oci" else rest)
    (image,) = set(home.estiba("images", "-q", "--no-trunc").stdout.split())
    return json.loads(home.estiba("image", "inspect", image).stdout)[0]


def what_counts(image: dict) -> dict:
    """What must be the same of an image wherever it was: its layers, and what its containers run."""
    config = {name: value for name, value in image["Config"].items() if value}
    return {"layers": image["RootFS"]["Layers"], "config": config, "for": (image["Os"], image["Architecture"])}


def remove_place(place: str) -> None:
    """A directory or a file that a test has made."""
    path = split(place)[1].rpartition(":")[0] or split(place)[1]
    if os.path.isdir(path):
        shutil.rmtree(path)
