"""`estiba export` writes all files of a container as one tar, running or not, and nothing of the host or of volumes."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

pytestmark = pytest.mark.without_root_too

SCRIPT = """
mkdir /d; echo x > /d/file; ln /d/file /d/hard; ln -s /etc/shadow /d/link; ln -s ../../.. /up; mkfifo /d/pipe
chmod 4750 /d/file; rm /bin/ls; echo in > /kept/volume; echo in > /tmpfs/file; touch -d @1000000000 /d/file
echo ready; exec sleep 1000
"""


def exported(host, *words: str) -> dict[str, tarfile.TarInfo]:
    """The entries of the tar by their names."""
    tar = host.estiba("export", "one", *words, text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as read:
        return {member.name: member for member in read}


def test_all_files_of_a_container_come_and_no_volumes(busybox_host, tmp_path):
    (tmp_path / "secret").write_text("of the host\n")
    words = ("-v", "cargo:/kept", "-v", f"{tmp_path}:/host:ro", "--tmpfs", "/tmpfs", "--network", "none")
    busybox_host.estiba("run", "-d", "--name", "one", *words, "busybox", "sh", "-c", SCRIPT)
    busybox_host.wait_until(lambda: "ready" in busybox_host.estiba("logs", "one").stdout, "the container is ready")
    running = exported(busybox_host)
    assert {"d/file", "d/hard", "d/link", "d/pipe", "up", "bin/busybox", "kept", "host", "tmpfs"} <= set(running)
    below = ("kept/", "host/", "tmpfs/", "proc/", "sys/", "dev/")
    assert {name: one.size for name, one in running.items() if name.startswith(below)} == {}
    assert "bin/ls" not in running
    assert running["d/hard"].islnk() and running["d/hard"].linkname == "d/file"
    assert (running["d/file"].mode, running["d/file"].mtime, running["d/file"].uid) == (0o4750, 1000000000, 0)
    assert (running["d/link"].linkname, running["d/pipe"].isfifo()) == ("/etc/shadow", True)
    busybox_host.estiba("stop", "-t", "0", "one")
    out = tmp_path / "out.tar"
    busybox_host.estiba("export", "-o", str(out), "one")
    assert out.stat().st_mode & 0o777 == 0o600
    with tarfile.open(out) as tar:
        assert sorted(tar.getnames()) == sorted(running)
    assert sorted(os.listdir(tmp_path)) == ["out.tar", "secret"]
    busybox_host.estiba("import", "-c", 'CMD ["cat", "/d/file"]', str(out), "again")
    assert busybox_host.estiba("run", "--rm", "--network", "none", "again").stdout == "x\n"


def test_what_cannot_be_exported_leaves_no_file(busybox_host, tmp_path):
    for words in (("-o", str(tmp_path / "out"), "none"), ("-o", str(tmp_path / "no" / "out"), "none"), ("none",)):
        assert busybox_host.estiba("export", *words, check=False).returncode == 1
    assert os.listdir(tmp_path) == []


def test_a_device_keeps_its_place(busybox_host, tmp_path):
    os.symlink("/dev/null", tmp_path / "out")
    busybox_host.estiba("create", "--name", "one", "busybox")
    for words in (("export",), ("image", "export")):
        busybox_host.estiba(*words, "-o", str(tmp_path / "out"), "one" if words == ("export",) else "busybox")
        assert os.readlink(tmp_path / "out") == "/dev/null" and os.listdir(tmp_path) == ["out"]


@pytest.mark.root
def test_ids_of_its_own_are_the_containers(busybox_host):
    script = "echo x > /file; chown 7:8 /file; echo ready; exec sleep 1000"
    words = ("--userns", "auto", "--network", "none")
    busybox_host.estiba("run", "-d", "--name", "one", *words, "busybox", "sh", "-c", script)
    busybox_host.wait_until(lambda: "ready" in busybox_host.estiba("logs", "one").stdout, "the container is ready")
    found = exported(busybox_host)
    assert (found["file"].uid, found["file"].gid, found["bin/busybox"].uid) == (7, 8, 0)
    busybox_host.estiba("stop", "-t", "0", "one")
    assert {name: (one.uid, one.gid) for name, one in exported(busybox_host).items()} == {
        name: (one.uid, one.gid) for name, one in found.items()
    }


@pytest.mark.root
def test_what_changes_meanwhile_leads_nowhere_and_stops_nothing(busybox_host, tmp_path):
    (tmp_path / "secret").write_text("of the host\n")
    race = f"""
    mkdir /r; echo ready
    while :; do
        mkdir /r/x; echo inside > /r/x/secret; rm -r /r/x; ln -s {tmp_path} /r/x; rm /r/x; echo > /r/x; rm /r/x
    done
    """
    busybox_host.estiba("run", "-d", "--name", "one", "--network", "none", "busybox", "sh", "-c", race)
    busybox_host.wait_until(lambda: "ready" in busybox_host.estiba("logs", "one").stdout, "it has begun")
    for _ in range(6):
        tar = busybox_host.estiba("export", "one", text=False).stdout
        assert b"of the host" not in tar
        with tarfile.open(fileobj=io.BytesIO(tar)) as read:
            assert "etc/group" in read.getnames()
