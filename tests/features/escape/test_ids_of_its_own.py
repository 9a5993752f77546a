"""A container with ids of its own has no right outside; each test shows that the host's ids would have it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("secret\n")
    path.chmod(0o600)
    tmp_path.chmod(0o755)
    return path


def _run(host, userns: str, *arguments: str):
    return host.estiba("run", "--rm", "--network", "none", f"--userns={userns}", *arguments, check=False)


def test_a_file_of_the_hosts_root_is_not_read_through_a_bind_mount(busybox_host, secret):
    shown = ("-v", f"{secret}:/secret", "busybox", "cat", "/secret")
    refused = _run(busybox_host, "auto", *shown)
    assert refused.returncode == 1 and "Permission denied" in refused.stderr
    assert _run(busybox_host, "host", *shown).stdout == "secret\n"


def test_nothing_is_written_or_given_away_through_a_bind_mount(busybox_host, secret):
    for act in ("chown 0 /d/secret", "chmod 4755 /d/secret", "touch /d/new", "rm /d/secret"):
        refused = _run(busybox_host, "auto", "-v", f"{secret.parent}:/d", "busybox", "sh", "-c", act)
        assert refused.returncode == 1, act
    for act in ("chown 0 /d/secret", "chmod 700 /d/secret", "touch /d/new"):
        assert _run(busybox_host, "host", "-v", f"{secret.parent}:/d", "busybox", "sh", "-c", act).returncode == 0


def test_every_capability_is_void_outside(busybox_host):
    """CAP_SYS_ADMIN and no filter do not open the kernel's settings; with the host's ids only the mounts guard them."""
    strong = ("--cap-add", "ALL", "--security-opt", "seccomp=unconfined")
    act = "mount -o remount,rw /proc/sys; mount -t proc p /mnt; cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness"
    refused = _run(busybox_host, "auto", *strong, "busybox", "sh", "-c", f"mkdir -p /mnt; {act}")
    assert refused.returncode == 1
    assert _run(busybox_host, "host", *strong, "busybox", "sh", "-c", f"mkdir -p /mnt; {act}").returncode == 0


def test_no_device_node_is_made(busybox_host):
    refused = _run(busybox_host, "auto", "busybox", "mknod", "/disk", "b", "254", "0")
    assert refused.returncode == 1 and "not permitted" in refused.stderr
    assert _run(busybox_host, "host", "busybox", "mknod", "/disk", "b", "254", "0").returncode == 0
