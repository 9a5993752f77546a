"""`estiba cp` copies files between the host and a container, running or not, by Docker's rules, and nothing astray."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import tarfile

import pytest

pytestmark = pytest.mark.without_root_too


def start(host, *words: str, script: str = "true") -> None:
    """A container `one` that has done `script` and goes on."""
    host.estiba("run", "-d", "--name", "one", *words, "busybox", "sh", "-c", f"{script}; echo ready; exec sleep 1000")
    host.wait_until(lambda: "ready" in host.estiba("logs", "one").stdout, "the container is ready")


def inside(host, script: str) -> str:
    output: str = host.estiba("exec", "one", "sh", "-c", script).stdout
    return output


@pytest.fixture
def files(tmp_path):
    """file, tree/{in,deep/er,link}; a target to copy to."""
    (tmp_path / "file").write_text("of the host\n")
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "in").write_text("in\n")
    (tmp_path / "tree" / "deep" / "er").write_text("er\n")
    (tmp_path / "tree" / "link").symlink_to("in")
    (tmp_path / "target").mkdir()
    (tmp_path / "target").chmod(0o777)
    return tmp_path


TREE = ["deep", "deep/er", "in", "link"]


def found(host, place: str) -> list[str]:
    """What is below a place of the container, sorted."""
    return sorted(inside(host, f"cd {place} && find . -mindepth 1").replace("./", "").split())


def test_files_and_directories_go_where_docker_puts_them(busybox_host, files):
    start(busybox_host, script="mkdir /d /kept; echo old > /old")
    for source, target in (
        ("file", "one:/"),
        ("file", "one:renamed"),
        ("file", "one:/d/"),
        ("file", "one:/old"),
        ("tree", "one:/new"),
        ("tree", "one:/d"),
        ("tree/.", "one:/kept"),
    ):
        busybox_host.estiba("cp", str(files / source) if not source.endswith(".") else f"{files}/tree/.", target)
    assert inside(busybox_host, "cat /file /renamed /d/file /old") == "of the host\n" * 4
    assert found(busybox_host, "/new") == found(busybox_host, "/d/tree") == found(busybox_host, "/kept") == TREE
    assert inside(busybox_host, "readlink /new/link; stat -c %u:%g /file /new") == "in\n0:0\n0:0\n"


def test_files_come_out_of_a_container_the_same_way(busybox_host, files):
    start(busybox_host, script="mkdir -p /a/b; echo x > /a/b/c; ln -s c /a/b/l; ln -s /a/b /way")
    target = files / "target"
    busybox_host.estiba("cp", "one:/etc/passwd", str(target))
    busybox_host.estiba("cp", "one:a/b", f"{target}/renamed")
    busybox_host.estiba("cp", "one:/a/b/.", str(target))
    busybox_host.estiba("cp", "one:/way", str(target))
    busybox_host.estiba("cp", "-L", "one:/way", f"{target}/followed")
    assert sorted(os.listdir(target)) == ["c", "followed", "l", "passwd", "renamed", "way"]
    assert (target / "renamed" / "c").read_text() == (target / "followed" / "c").read_text() == "x\n"
    assert os.readlink(target / "way") == "/a/b"


def test_what_cannot_be_is_refused(busybox_host, files):
    start(busybox_host, script="mkdir /d; touch /d/file")
    for source, target, word in (
        ("one:/x", "two:/x", "one container to another"),
        (str(files / "file"), "elsewhere", "neither"),
        (str(files / "tree"), "one:/d/file", "is a file"),
        (str(files / "file"), "one:/no/where", "no directory"),
        (str(files / "file"), "one:/no/", "does not exist"),
        (str(files / "nothing"), "one:/", "nothing"),
        ("one:/nothing", str(files / "target"), "/nothing"),
        (str(files / "file"), "one:/etc/hosts", "mounted"),
        (str(files / "file"), "nobody:/", "nobody"),
    ):
        done = busybox_host.estiba("cp", source, target, check=False)
        assert done.returncode == 1
        assert word in done.stderr
    assert inside(busybox_host, "grep -c localhost /etc/hosts") != "0\n"


def test_a_tar_goes_out_and_in(busybox_host, files):
    start(busybox_host, script="mkdir /d; echo x > /d/file; ln -s /d /way")
    out = busybox_host.estiba("cp", "one:/d", "-", text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert tar.getnames() == ["d", "d/file"]
    given = io.BytesIO()
    with tarfile.open(fileobj=given, mode="w:gz") as tar:
        tar.add(files / "tree", "tree")
    busybox_host.estiba("cp", "-", "one:/way", stdin=None, input=given.getvalue(), text=False)
    assert found(busybox_host, "/d/tree") == TREE
    junk = busybox_host.estiba("cp", "-", "one:/d", stdin=None, input=b"no tar" * 1000, text=False, check=False)
    assert junk.returncode == 1


def test_volumes_are_reached_and_read_only_ones_refuse_whether_it_runs_or_not(busybox_host, files):
    start(busybox_host, "-v", "cargo:/data", "-v", f"{files}:/host:ro", script="mkdir /d")
    source = str(files / "file")
    for state in ("running", "paused", "stopped"):
        if state == "paused":
            busybox_host.estiba("pause", "one", check=False)  # an ordinary user has no control group for it
        if state == "stopped":
            busybox_host.estiba("stop", "-t", "0", "one")
        busybox_host.estiba("cp", source, f"one:/data/{state}")
        busybox_host.estiba("cp", source, f"one:/d/{state}")
        refused = busybox_host.estiba("cp", source, "one:/host/new", check=False)
        assert "read-only" in refused.stderr
        busybox_host.estiba("cp", f"one:/data/{state}", str(files / "target"))
    busybox_host.estiba("start", "one")
    assert "stopped" in inside(busybox_host, "ls /data") and "stopped" in inside(busybox_host, "ls /d")
    assert not (files / "new").exists()


@pytest.mark.root
def test_a_part_of_a_volume_is_reached_in_a_stopped_container_too(busybox_host, files):
    """And a link that leads out of the volume leads nowhere."""
    start(busybox_host, "-v", "cargo:/data", script=f"mkdir -p /data/sub; ln -s {files}/target /data/out")
    part = "type=volume,source=cargo,target=/part,volume-subpath={}"
    busybox_host.estiba("create", "--name", "two", "--mount", part.format("sub"), "busybox")
    busybox_host.estiba("cp", str(files / "file"), "two:/part/in")
    assert inside(busybox_host, "cat /data/sub/in") == "of the host\n"
    busybox_host.estiba("create", "--name", "three", "--mount", part.format("out"), "busybox")
    busybox_host.estiba("cp", str(files / "file"), "three:/part/in", check=False)
    assert os.listdir(files / "target") == []


def test_links_of_a_hostile_container_lead_nowhere_outside(busybox_host, files):
    """What is written through a link lands in the container, and what comes out follows none on the host."""
    script = f"ln -s {files}/target /out; mkdir /evil; ln -s {files}/target /evil/way; ln -s /proc/1/root /root/top"
    start(busybox_host, script=script)
    refused = busybox_host.estiba("cp", str(files / "file"), "one:/out/", check=False)
    assert refused.returncode == 1
    assert os.listdir(files / "target") == []
    busybox_host.estiba("cp", "one:/out", str(files / "copied"))
    assert os.path.islink(files / "copied")
    busybox_host.estiba("cp", str(files / "file"), "one:/root/top/file", check=False)
    assert not os.path.exists("/file")


def test_what_leads_above_the_root_of_a_stopped_container_is_its_root(busybox_host, files):
    """Its files are mounted for the copy alone, in the store's own directory, where other things lie beside them."""
    script = (
        "mkdir -p /d/e; echo x > /d/e/file; ln -s .. /up; ln -s ../.. /higher; ln -s up /chain; ln -s d/../.. /over"
    )
    busybox_host.estiba("run", "--name", "one", "busybox", "sh", "-c", script)
    scratch = f"{busybox_host.root}/tmp"
    with open(f"{scratch}/secret", "w", encoding="ascii") as file:
        file.write("of the host\n")
    try:
        for number, asked in enumerate(
            ("/up/.", "/up/..", "/up/", "/higher/.", "/chain/.", "/over/.", "/..", "/d/../..", "/../d/..", "/d/e/../..")
        ):
            busybox_host.estiba("cp", f"one:{asked}", f"{files}/out{number}")
            busybox_host.estiba("cp", "-L", f"one:{asked}", f"{files}/followed{number}")
            for out in (f"{files}/out{number}", f"{files}/followed{number}"):
                assert os.path.isfile(f"{out}/d/e/file"), asked
                assert not {name for name in os.listdir(out) if name.startswith(("secret", "copy"))}, asked
        for number, asked in enumerate(("/up", "/higher", "/chain", "/over")):
            busybox_host.estiba("cp", f"one:{asked}", f"{files}/link{number}")
            assert os.path.islink(f"{files}/link{number}")
            busybox_host.estiba("cp", "-L", f"one:{asked}", f"{files}/led{number}")
            assert os.path.isfile(f"{files}/led{number}/d/e/file"), asked
            with tarfile.open(
                fileobj=io.BytesIO(busybox_host.estiba("cp", f"one:{asked}/.", "-", text=False).stdout)
            ) as tar:
                assert not [name for name in tar.getnames() if "secret" in name or "copy." in name], asked
            busybox_host.estiba("cp", str(files / "file"), f"one:{asked}/put{number}")
        assert sorted(name for name in os.listdir(scratch) if name.startswith("put")) == []
    finally:
        os.unlink(f"{scratch}/secret")


@pytest.mark.root
def test_a_directory_that_becomes_a_link_meanwhile_leads_nowhere(busybox_host, files):
    (files / "target" / "secret").write_text("of the host\n")
    race = f"""
    mkdir /r; echo ready
    while :; do
        mkdir /r/x; echo inside > /r/x/secret; rm -r /r/x; ln -s {files}/target /r/x; rm /r/x
    done
    """
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "busybox", "sh", "-c", race)
    busybox_host.wait_until(lambda: "ready" in busybox_host.estiba("logs", "one").stdout, "it has begun")
    for number in range(12):
        busybox_host.estiba("cp", "one:/r", f"{files}/out{number}", check=False)
        busybox_host.estiba("cp", "-L", "one:/r/x", f"{files}/way{number}", check=False)
        busybox_host.estiba("cp", str(files / "file"), "one:/r/x/written", check=False)
    assert os.listdir(files / "target") == ["secret"]
    for directory, _, names in os.walk(files):
        for name in names:
            if name == "secret" and directory != str(files / "target"):
                with open(f"{directory}/{name}", encoding="ascii") as file:
                    assert file.read() in ("", "inside\n")


@pytest.mark.root
def test_owners_are_kept_where_asked_and_ids_of_its_own_are_the_containers(busybox_host, files):
    os.chown(files / "file", 1000, 29)
    start(busybox_host, "--userns", "auto")
    busybox_host.estiba("cp", "-a", str(files / "file"), "one:/kept")
    busybox_host.estiba("cp", str(files / "file"), "one:/roots")
    assert inside(busybox_host, "stat -c %u:%g /kept /roots") == "1000:29\n0:0\n"
    busybox_host.estiba("cp", "-a", "one:/kept", f"{files}/back")
    status = os.stat(files / "back")
    assert (status.st_uid, status.st_gid) == (1000, 29)


@pytest.mark.root
@pytest.mark.host_ids("no device node is made inside that could be copied")
def test_neither_devices_nor_set_id_programs_appear_on_the_host_unasked(busybox_host, files):
    start(busybox_host, script="mkdir /d; mknod /d/disk b 8 0; cp /bin/busybox /d/shell; chmod 4755 /d/shell")
    told = busybox_host.estiba("cp", "one:/d", str(files / "target"))
    assert "d/disk" in told.stderr
    assert os.listdir(files / "target" / "d") == ["shell"]
    assert os.stat(files / "target" / "d" / "shell").st_mode & 0o6000 == 0


def children(pid: int) -> list[int]:
    """The processes that `pid` has started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.root
def test_who_is_interrupted_does_not_wait_for_a_stream_that_goes_on(busybox_host, number):
    """And one that is killed leaves nobody who holds the container up."""
    busybox_host.estiba("create", "--name", "one", "busybox", "true")
    command = busybox_host.start("cp", "-", "one:/", stdin=subprocess.PIPE)
    busybox_host.wait_until(lambda: children(command.pid), "it has its process")
    [child] = children(command.pid)
    busybox_host.wait_until(lambda: waits_for_a_pipe(child), "it waits for the stream")
    command.send_signal(number)
    assert command.wait(20) == (130 if number == signal.SIGINT else -number)
    busybox_host.wait_until(lambda: not os.path.exists(f"/proc/{child}"), "its process has gone too")
    command.communicate()
    busybox_host.estiba("start", "-a", "one")


def waits_for_a_pipe(pid: int) -> bool:
    """Whether the process reads from a pipe that is empty."""
    with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
        return "pipe" in file.read()


@pytest.mark.root("it mounts a small filesystem")
def test_a_full_disk_is_told_and_no_broken_pipe(busybox_host, tmp_path):
    start(busybox_host, script="mkdir /d; dd if=/dev/zero of=/d/large bs=1M count=3 2>/dev/null")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", str(tmp_path)], check=True)
    try:
        told = busybox_host.estiba("cp", "one:/d", str(tmp_path), check=False)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert "d/large cannot be written: no space left on device" in told.stderr
    start_small = ("--tmpfs", "/small:size=1m", "busybox", "sleep", "1000")
    busybox_host.estiba("run", "-d", "--name", "two", *start_small)
    busybox_host.estiba("cp", "one:/d/large", str(tmp_path))
    told = busybox_host.estiba("cp", f"{tmp_path}/large", "two:/small/large", check=False)
    assert "large cannot be written: no space left on device" in told.stderr
