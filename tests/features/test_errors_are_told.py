"""A wrong command line, file or place gets one clear message with what to do, and never a traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Wrong(NamedTuple):
    """A command line, the exit code that it must have, and words of the message and its remedy."""

    line: str
    code: int
    words: tuple[str, ...]


def wrong(line: str, code: int, *words: str) -> Wrong:
    return Wrong(line, code, words)


# {d} is a directory with: ctx/ (a context with a Dockerfile), empty/, notes (a text file).
_ANY_USER = (
    # What is before the command, and the command
    wrong("--foo ps", 2, "unknown flag --foo", "estiba --help"),
    wrong("--root", 2, "--root needs a value"),
    wrong("--debug=maybe ps", 2, "--debug=maybe: 'maybe' is neither true nor false"),
    wrong("-D=false frobnicate", 1, "'frobnicate' is not an estiba command"),
    wrong("frobnicate", 1, "'frobnicate' is not an estiba command", "estiba --help"),
    wrong("biuld .", 1, "did you mean 'build'?"),
    wrong("help frobnicate", 1, "not an estiba command"),
    wrong("compose", 1, "compose is not there yet", "SCOPE.md"),
    # Arguments: Docker's 125 for run, create and exec, 2 for others
    wrong("run", 125, "run: the following arguments are required: IMAGE", "estiba run --help"),
    wrong("run --foo busybox", 125, "run: unrecognized", "estiba run --help"),
    wrong("run --rm=maybe busybox", 125, "--rm=maybe: 'maybe' is neither true nor false", "estiba run --help"),
    wrong("ps --no-trunc=no", 2, "--no-trunc=no: 'no' is neither true nor false", "estiba ps --help"),
    wrong("container run", 125, "required: IMAGE"),
    wrong("create", 125, "required: IMAGE"),
    wrong("exec", 125, "required: CONTAINER"),
    wrong("exec box", 125, "exec needs a command"),
    wrong("ps extra", 2, "unrecognized arguments: extra", "estiba ps --help"),
    wrong("logs", 2, "required: CONTAINER"),
    wrong("stop -t x box", 2, "invalid int value: 'x'"),
    wrong("build", 2, "required: PATH"),
    wrong("registry", 2, "required"),
    wrong("agent serve", 2, "required"),
    wrong("inspect --type foo x", 2, "invalid choice: 'foo'"),
    # Names that cannot be, and things that do not exist
    wrong("tag x UPPER", 1, "invalid reference 'UPPER'", "lower case"),
    wrong("pull ''", 1, "it is empty"),
    wrong("pull a@sha256:abc", 1, "invalid digest", "64 lower-case hex digits"),
    wrong("exec nosuch true", 125, "no such container: nosuch", "estiba ps -a"),
    wrong("logs nosuch", 1, "no such container: nosuch"),
    wrong("stop nosuch", 1, "no such container: nosuch"),
    wrong("rm nosuch", 1, "no such container: nosuch"),
    wrong("rmi nosuch", 1, "no such image: nosuch", "`estiba images` lists"),
    wrong("tag nosuch x", 1, "no such image: nosuch"),
    wrong("push nosuch", 1, "no such image"),
    wrong("save nosuch", 1, "no such image: nosuch"),
    wrong("inspect nosuch", 1, "no such container or image: nosuch"),
    wrong("volume rm nosuch", 1, "no such volume: nosuch"),
    wrong("network rm nosuch", 1, "there is no network 'nosuch'"),
    wrong("bootstrap fedora", 1, "no recipe for 'fedora'"),
    # Files
    wrong("save -o {d}/no/file nosuch", 1, "no such image"),
    wrong("load -i {d}/no", 1, "No such file", "-i FILE"),
    wrong("load -i {d}/notes", 1, "is not an archive of images", "estiba save"),
    wrong("load -i {d}/empty", 1, "is not an archive of images"),
    wrong("build {d}/no", 1, "is not a directory"),
    wrong("build {d}/empty", 1, "there is no Dockerfile at", "-f FILE"),
    wrong("build -f {d}/empty {d}/ctx", 1, "is a directory"),
    wrong("build --target nosuch {d}/ctx", 1, "no stage 'nosuch'"),
    wrong("build --push {d}/ctx", 1, "there is no name to push", "--tag"),
    wrong("build -t BAD {d}/ctx", 1, "invalid reference 'BAD'"),
    wrong("build -f {d}/notes {d}/ctx", 1, "notes:1:1: unknown instruction", "^"),
    wrong("agent serve --listen 127.0.0.1:0 --config {d}/no", 1, "cannot read {d}/no", "--config FILE"),
    wrong("agent serve --listen 127.0.0.1:0 --config {d}/notes", 1, "not TOML"),
    wrong("registry serve --listen 127.0.0.1:0 --htpasswd {d}/no", 1, "cannot read {d}/no"),
    # Addresses
    wrong("registry serve --listen here", 1, "'here' is not an address to listen on", "HOST:PORT"),
    wrong("registry serve --listen 192.0.2.1:5000", 1, "cannot listen on 192.0.2.1:5000: cannot assign", "--listen"),
    wrong("pull 127.0.0.1:1/x", 1, "cannot reach the registry", "127.0.0.1:1"),
    wrong("login -u a -p b 127.0.0.1:1", 1, "cannot reach the registry"),
    # Templates and filters
    wrong("ps --filter foo=bar", 1, "invalid filter 'foo=bar'", "status"),
    wrong("ps --filter status=odd", 1, "invalid filter 'status=odd'", "running"),
    wrong("ps --filter name=[", 1, "invalid filter 'name=['"),
    # Places
    wrong("--root {d}/notes images", 1, "the store {d}/notes cannot be made", "--root"),
    wrong("--root " + "/a" * 3000 + " images", 1, "cannot be a directory's path", "shorter"),
)

_ROOT = (
    wrong("run UPPER", 125, "invalid reference 'UPPER'", "lower case"),
    wrong("run ''", 125, "it is empty"),
    wrong("run --memory 12q busybox", 125, "invalid memory '12q'", "512m"),
    wrong("run --memory -5m busybox", 125, "expected one argument"),
    wrong("run --cpus abc busybox", 125, "invalid number of CPUs"),
    wrong("run -p 99999:80 busybox", 125, "99999 is not in 1-65535"),
    wrong("run -v relative/x:/y busybox", 125, "invalid volume name"),
    wrong("run -v /tmp:y busybox", 125, "the target 'y' is not absolute", "Begin it with /"),
    wrong("run --mount type=bind,src={d}/no,dst=/x busybox", 125, "source path does not exist"),
    wrong("run -e =x busybox", 125, "invalid environment variable"),
    wrong("run --env-file {d}/no busybox", 125, "cannot read {d}/no"),
    wrong("run --name 'a b' busybox", 125, "invalid container name"),
    wrong("run --network nosuch busybox", 125, "there is no network 'nosuch'"),
    wrong("run -u nosuch busybox", 125, "user 'nosuch' is not in /etc/passwd"),
    wrong("run -w x busybox", 125, "'x' is not an absolute path"),
    wrong("run -h " + "h" * 65 + " busybox", 125, "too long", "64"),
    wrong("run --dns here busybox", 125, "invalid name server 'here'"),
    wrong("run --restart odd busybox", 125, "invalid restart policy", "on-failure"),
    wrong("run --ulimit nofile=5:3 busybox", 125, "invalid limit of nofile"),
    wrong("run --oom-score-adj 2000 busybox", 125, "-1000 to 1000"),
    wrong("run --platform odd busybox", 125, "invalid platform 'odd'"),
    wrong("run --platform linux/s390x --pull never busybox", 125, "no such image: busybox for linux/s390x"),
    wrong("run --pull odd busybox", 125, "invalid pull policy"),
    wrong("run --cidfile {d}/no/x busybox", 125, "cannot write {d}/no/x"),
    wrong("run --gpus all busybox", 125, "--gpus all is not there yet"),
    wrong("run -it busybox", 125, "not a terminal"),
    wrong("run --rm busybox nosuch", 127, "executable file not found", "the image has the program"),
    wrong("run --rm busybox /etc", 126, "is a directory", "may execute"),
    wrong("save -o {d}/no/file busybox", 1, "cannot write {d}/no/file", "a directory that exists"),
    wrong("save -o {d} busybox", 1, "it is a directory"),
    wrong("images --format '{{{{.No}}}}'", 1, "no field 'No'", "Repository"),
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the wrong command lines name."""
    (tmp_path / "ctx").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "ctx" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    (tmp_path / "notes").write_text("This is a text.\n")
    return tmp_path


def problems(home: Any, place: Path, cases: Iterable[Wrong]) -> list[str]:
    """What is amiss with the answers to `cases`: nothing, one hopes."""
    found = []
    for case in cases:
        done = _shell(f'"$E" {case.line.format(d=place)}', home)
        missing = [word for word in case.words if word.format(d=place) not in done.stderr]
        left = [] if sorted(os.listdir(place)) == ["ctx", "empty", "notes"] else os.listdir(place)
        if done.returncode != case.code or "Traceback" in done.stderr or missing or left:
            found.append(f"{case.line}: exit code {done.returncode}, missing {missing}, left {left}\n{done.stderr}")
    return found


def _shell(script: str, home: Any) -> subprocess.CompletedProcess[str]:
    """Runs a shell script in which "$E" is Estiba with an installation of the test's own."""
    environment = os.environ | {"E": home.command[0], "ESTIBA_ROOT": home.root, "ESTIBA_RUN": home.run}
    environment |= {"HOME": home.directory, "DOCKER_CONFIG": f"{home.directory}/docker"}
    return subprocess.run(
        ["bash", "-c", script],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_a_wrong_command_line_is_told(estiba_home: Any, place: Path) -> None:
    assert "\n".join(problems(estiba_home, place, _ANY_USER)) == ""


@pytest.mark.root
@pytest.mark.slow
def test_a_container_or_an_image_that_cannot_be_is_told(busybox_host: Any, place: Path) -> None:
    assert "\n".join(problems(busybox_host.home, place, _ROOT)) == ""


@pytest.mark.parametrize(
    ("script", "code", "told"),
    [
        ('"$E" images > /dev/full', 1, "No space left on device"),
        ('"$E" images >&-', 0, ""),
        ('"$E" images >&- 2>&- <&-', 0, ""),
        ('set -o pipefail; "$E" help | head -n 1 > /dev/null', 0, ""),
        ('"$E" version > /dev/full', 1, "No space left on device"),
    ],
)
def test_an_output_that_takes_nothing_ends_no_command_with_a_traceback(
    estiba_home: Any, script: str, code: int, told: str
) -> None:
    done = _shell(script, estiba_home)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode == code or "pipefail" in script, done.stderr


@pytest.mark.root
def test_a_container_whose_output_is_closed_runs_all_the_same(busybox_host: Any) -> None:
    done = _shell('"$E" run --rm --network none busybox sh -c "echo hello; exit 7" >&-', busybox_host.home)
    assert (done.returncode, done.stderr) == (7, "")


def test_a_broken_file_of_credentials_is_told(estiba_home: Any) -> None:
    os.mkdir(f"{estiba_home.directory}/docker")
    Path(f"{estiba_home.directory}/docker/config.json").write_text("{broken")
    done = _shell('"$E" logout 127.0.0.1:1', estiba_home)
    assert done.returncode == 1
    assert "docker/config.json is not JSON" in done.stderr
    assert "Correct or remove the file" in done.stderr
