"""`--progress` of pull, push, copy, load and save: bars in a terminal, lines, JSON lines, or the result alone."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

registries = sys.modules["estiba_test_registries"]


@pytest.fixture
def image(server, repository) -> str:
    layers = [registries.layer_of({name: os.urandom(3_000_000)}) for name in ("one", "two")]
    server.push_image(repository, "1", *layers, config=registries.config_of(*layers))
    return f"{server.address}/{repository}:1"


def in_a_terminal(command: list[str]) -> str:
    """What a command writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    data = b""
    while True:
        try:
            data += os.read(ours, 65536)
        except OSError:  # the last writer has gone
            break
    os.close(ours)
    assert process.wait(30) == 0, data
    return data.decode()


def last_screen(text: str) -> list[str]:
    """The lines as they stand at the end: a small terminal that knows what rich writes."""
    lines = [""]
    row = 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif piece.startswith("\x1b[") and piece.endswith("A"):
            row -= int(piece[2:-1] or 1)
        elif not piece.startswith("\x1b") and piece != "\r":
            lines[row] += piece
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.root
def test_a_terminal_shows_a_row_for_each_layer_and_the_result_below(estiba_home, image):
    text = in_a_terminal([*estiba_home.command, "pull", image])
    assert re.search("Downloading +.*━", text), "a bar was seen"
    assert re.search(r"[0-9.]+/3\.0 MB", text)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"
    screen = last_screen(text)
    assert screen[0] == f"1: Pulling from {image.partition('/')[2].removesuffix(':1')}"
    rows = [number for number, line in enumerate(screen) if line.partition(" ")[2] == "Pull complete"]
    assert len(rows) == 2
    assert screen[rows[-1] + 1].startswith("Digest: sha256:"), "what came of it stands below the rows"
    assert screen[-1] == image


@pytest.mark.root
def test_lines_name_each_change_once(estiba_home, image):
    told = estiba_home.estiba("pull", "--progress", "plain", image).stdout.splitlines()
    assert sum(line.endswith(": Pull complete") for line in told) == 2
    assert not any("Downloading" in line for line in told)
    assert told[-1] == image


@pytest.mark.root
def test_json_lines_count_bytes_and_end_with_the_result(server, estiba_home, image, repository):
    def events(*words: str, stream: str = "stdout") -> list[dict]:
        done = estiba_home.estiba(*words, "--progress", "json")
        return [json.loads(line) for line in getattr(done, stream).splitlines()]

    pulled = events("pull", image)
    moving = [event for event in pulled if event.get("status") == "Downloading"]
    assert {event["progressDetail"]["total"] for event in moving} == {3_010_560}
    ends = [event for event in moving if event["progressDetail"]["current"] == 3_010_560]
    ids = {event["id"] for event in ends}
    assert len(ids) == 2
    assert pulled[-1]["result"]["name"] == image
    other = image.replace(":1", "-again:2")
    estiba_home.estiba("tag", image, other)
    pushed = events("push", other)
    assert {event["id"] for event in pushed if event.get("status", "").startswith("Mounted from")}
    assert pushed[-1]["result"] | {"size": 0} == {
        "name": other, "digest": pulled[-1]["result"]["manifest"], "size": 0, "bytes_sent": 0
    }  # fmt: skip
    archive = f"{estiba_home.directory}/a.tar"
    saved = events("save", "-o", archive, image, stream="stderr")
    assert ids <= {event["id"] for event in saved if event["status"] == "Saved"}
    copied = events("copy", f"docker-archive:{archive}", f"oci:{estiba_home.directory}/layout")
    assert copied[-1]["result"]["digest"] == pulled[-1]["result"]["manifest"]
    estiba_home.estiba("rmi", image, other)
    loaded = events("load", "-i", archive)
    assert sum(event.get("status") == "Layer loaded" for event in loaded) == 2
    assert loaded[-1] == {"result": {"name": image, "id": pulled[-1]["result"]["id"]}}


@pytest.mark.root
def test_quiet_is_the_result_alone(estiba_home, image):
    assert estiba_home.estiba("pull", "--progress", "quiet", image).stdout == f"{image}\n"
    archive = f"{estiba_home.directory}/a.tar"
    done = estiba_home.estiba("save", "-o", archive, image)
    assert done.stdout + done.stderr == "", "no terminal, no bars"
    assert estiba_home.estiba("load", "-q", "-i", archive).stdout == f"Loaded image: {image}\n"
    to_stdout = subprocess.run(
        [*estiba_home.command, "save", "--progress", "plain", image], capture_output=True, check=True
    )
    assert b": Saved\n" in to_stdout.stderr
    with open(archive, "rb") as file:
        assert to_stdout.stdout == file.read()


@pytest.mark.root
def test_a_pull_for_a_container_is_shown_beside_its_output(estiba_home, image):
    words = ("create", "--pull=always", "--network=none", image, "/none")
    done = estiba_home.estiba(*words)
    assert len(done.stdout.split()) == 1, "the container's ID alone"
    assert sum(line.endswith(": Pull complete") for line in done.stderr.splitlines()) == 2
    assert estiba_home.estiba("create", "-q", *words[1:]).stderr == ""
    estiba_home.estiba("rm", *estiba_home.estiba("ps", "-aq").stdout.split())


@pytest.mark.root
def test_a_base_image_that_a_build_pulls_is_shown(estiba_home, image, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nLABEL a=b\n")
    told = estiba_home.estiba("build", str(tmp_path)).stderr.splitlines()
    assert sum(line.endswith(": Pull complete") for line in told) == 2
    estiba_home.estiba("rmi", "-f", image)
    quiet = estiba_home.estiba("build", "-q", "--no-cache", "--pull", str(tmp_path))
    assert quiet.stderr == ""
