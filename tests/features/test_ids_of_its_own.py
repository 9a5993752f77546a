"""`estiba run --userns=auto`: the container's root is nobody on the host, and nothing on disk changes its owner."""

from __future__ import annotations

import os
import signal
import subprocess
from itertools import pairwise

import pytest

from estiba.store.store import Store
from images import busybox_image
from waiting import wait_until

pytestmark = pytest.mark.root

AUTO = "--userns=auto"


def _range(host, name: str) -> tuple[int, int]:
    pid = host.inspect(name)["State"]["Pid"]
    with open(f"/proc/{pid}/uid_map", encoding="ascii") as file:
        inside, first, size = map(int, file.read().split())
    assert inside == 0
    return first, size


def _data(host, volume: str) -> str:
    return f"{host.root}/volumes/{volume}/_data"


def test_root_of_the_container_is_nobody_on_the_host(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", AUTO, "busybox", "sleep", "100")
    first, size = _range(busybox_host, "one")
    assert first > 100_000 and size == 65536
    assert os.stat(f"/proc/{busybox_host.inspect('one')['State']['Pid']}").st_uid == first
    assert busybox_host.estiba("exec", "one", "id", "-u").stdout == "0\n"


def test_without_the_flag_root_is_the_hosts(busybox_host, monkeypatch):
    """The control: the defence is what makes the difference."""
    monkeypatch.delenv("ESTIBA_USERNS", raising=False)
    for flags in ((), ("--userns=host",)):
        shown = busybox_host.estiba("run", "--rm", "--network", "none", *flags, "busybox", "cat", "/proc/self/uid_map")
        assert shown.stdout.split()[1] == "0"


def test_two_containers_share_no_id(busybox_host):
    for name in ("one", "two", "three"):
        busybox_host.estiba("run", "-d", "--network", "none", "--name", name, AUTO, "busybox", "sleep", "100")
    ranges = sorted(_range(busybox_host, name) for name in ("one", "two", "three"))
    assert all(first + size <= other for (first, size), (other, _) in pairwise(ranges))


def test_a_size_may_be_asked_for_and_a_user_beyond_it_is_told(busybox_host):
    sized = ("--userns=auto:size=1000", "--network", "none")
    shown = busybox_host.estiba("run", "--rm", *sized, "busybox", "cat", "/proc/self/uid_map")
    assert shown.stdout.split()[2] == "1000"
    failed = busybox_host.estiba("run", "--rm", *sized, "-u", "1000", "busybox", "true", check=False)
    assert failed.returncode == 125 and "ids up to 999" in failed.stderr and "size=1001" in failed.stderr


def test_files_keep_the_owners_that_they_have_inside(busybox_host):
    script = "touch /made; chown 5:6 /made; chown 7 /root; rm -r /home; ls -ldn /bin"
    done = busybox_host.estiba("run", "--name", "one", "--network", "none", AUTO, "busybox", "sh", "-c", script)
    assert done.stdout.split()[2:4] == ["0", "0"]
    with Store.open(busybox_host.root) as store:
        tree = store.snapshots.change(next(r.key for r in store.snapshots.list() if r.key)).tree
    made = os.lstat(f"{tree}/made")
    assert (made.st_uid, made.st_gid) == (5, 6)
    assert os.lstat(f"{tree}/root").st_uid == 7
    again = busybox_host.estiba("start", "-a", "one")
    assert again.stdout.split()[2:4] == ["0", "0"]


def test_a_volume_has_plain_owners_and_is_filled_from_the_image(busybox_host):
    with Store.open(busybox_host.root) as store:
        busybox_image(store, "filled", files={"/data/hello": "hello"})
    script = "ls -ln /data/hello && touch /data/new && chown 1000 /data/new"
    done = busybox_host.estiba("run", "--rm", AUTO, "-v", "kept:/data", "filled", "sh", "-c", script)
    assert done.stdout.split()[2:4] == ["0", "0"]
    owners = {name: os.lstat(f"{_data(busybox_host, 'kept')}/{name}").st_uid for name in ("hello", "new")}
    assert owners == {"hello": 0, "new": 1000}
    other = busybox_host.estiba("run", "--rm", "-v", "kept:/data", "busybox", "stat", "-c", "%u", "/data/new")
    assert other.stdout == "1000\n"


def test_networks_ports_and_settings_of_the_network_work(busybox_host):
    serve = "mkdir /w && echo served > /w/index.html && ping -c1 -W2 127.0.0.1 >&2 && httpd -f -p 80 -h /w"
    sysctl = ("--sysctl", "net.ipv4.ip_unprivileged_port_start=0")
    busybox_host.estiba("run", "-d", "--name", "web", AUTO, *sysctl, "-p", "80", "busybox", "sh", "-c", serve)
    port = busybox_host.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]

    def answer() -> str:
        asked = ["busybox", "wget", "-qO-", f"http://127.0.0.1:{port}/"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False).stdout

    wait_until(lambda: answer() == "served\n", "the container serves")


def test_a_user_opens_its_output_again_and_reads_the_files_of_the_network(busybox_host):
    script = "echo out > /dev/stdout; echo err > /dev/stderr; cat /etc/hosts /etc/resolv.conf > /dev/null && hostname"
    for user in ("0", "app"):
        done = busybox_host.estiba("run", "--rm", AUTO, "-h", "here", "-u", user, "busybox", "sh", "-c", script)
        assert (done.stdout, done.stderr) == ("out\nhere\n", "err\n")
    busybox_host.estiba("run", "-d", "--name", "one", AUTO, "busybox", "sleep", "100")
    done = busybox_host.estiba("exec", "-u", "app", "one", "sh", "-c", "echo out > /dev/stdout; id -u")
    assert done.stdout == "out\n1000\n"


def test_a_terminal_and_a_read_only_root_work(busybox_host):
    words = [*busybox_host.home.command, "run --rm -it --read-only", AUTO, "busybox sh -c 'tty; echo yes > /dev/tty'"]
    command = ("script", "-qec", " ".join(words), "/dev/null")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=True)
    assert "/dev/pts/0" in done.stdout and "yes" in done.stdout
    refused = busybox_host.estiba("run", "--rm", "--read-only", AUTO, "busybox", "touch", "/x", check=False)
    assert refused.returncode == 1 and "Read-only" in refused.stderr


def test_what_cannot_be_is_told(busybox_host):
    for flags, word in (
        (("--userns=nomap",), "ordinary user"),
        (("--userns=auto:size=x",), "no option of auto"),
        (("--userns=ns:/nowhere",), "cannot be opened"),
        (("--userns=container:nobody",), "nobody"),
        (("--userns=auto", "--uidmap=0:1000"), "exclude each other"),
        (("--uidmap=1:1000",), "Map 0 too"),
        (("--uidmap=0:1000", "--uidmap=0:2000"), "twice"),
        (("--subuidname=nobody-has-this",), "/etc/subuid has no ids"),
    ):
        failed = busybox_host.estiba("run", "--rm", "--network=none", *flags, "busybox", "true", check=False)
        assert failed.returncode == 125 and word in failed.stderr, flags


def test_a_privileged_container_has_every_right_over_its_own_and_none_over_the_host(busybox_host):
    script = "mkdir /m && mount -t tmpfs t /m && hostname x && ! cat /proc/sys/kernel/sysrq > /proc/sys/kernel/sysrq"
    done = busybox_host.estiba("run", "--rm", AUTO, "--privileged", "busybox", "sh", "-c", script, check=False)
    assert done.returncode == 0, done.stderr


def test_the_network_of_another_container_is_joined_whosever_it_is(busybox_host):
    for number, ids in enumerate((AUTO, "--userns=host")):
        busybox_host.estiba("run", "-d", "--name", f"n{number}", ids, "busybox", "sleep", "100")
        address = busybox_host.inspect(f"n{number}")["NetworkSettings"]["IPAddress"]
        joined = ("--network", f"container:n{number}")
        script = "ip -4 -o addr show eth0; ls /sys/class/net /sys/fs/cgroup >/dev/null; head -1 /proc/self/uid_map"
        done = busybox_host.estiba("run", "--rm", AUTO, *joined, "busybox", "sh", "-c", script)
        assert f" {address}/" in done.stdout and done.stdout.splitlines()[-1].split()[1] != "0"
        changed = busybox_host.estiba(
            "run",
            "--rm",
            AUTO,
            "--cap-add=NET_ADMIN",
            *joined,
            "busybox",
            "ip",
            "link",
            "set",
            "eth0",
            "down",
            check=False,
        )
        assert changed.returncode != 0 and "not permitted" in changed.stderr


def test_the_ids_of_another_container_are_shared_and_kept_while_either_lives(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "--network=none", AUTO, "busybox", "sleep", "100")
    taken = _range(busybox_host, "one")
    shared = ("--userns=container:one", "busybox")
    busybox_host.estiba("run", "-d", "--name", "two", *shared, "sleep", "100")
    assert _range(busybox_host, "two") == taken
    busybox_host.estiba("rm", "-f", "one")
    busybox_host.estiba("run", "-d", "--name", "three", "--network=none", AUTO, "busybox", "sleep", "100")
    assert _range(busybox_host, "three")[0] != taken[0]
    assert busybox_host.estiba("exec", "two", "id", "-u").stdout == "0\n"
    refused = busybox_host.estiba("run", "--rm", *shared, "true", check=False)
    assert refused.returncode == 125 and "one" in refused.stderr


def test_processes_and_queues_are_shared_with_who_has_the_same_ids_and_with_the_host(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "--ipc=shareable", AUTO, "busybox", "sleep", "100")
    shared = ("--pid=container:one", "--ipc=container:one", "--network=container:one")
    script = "ps | grep -c 'sleep 100$'; ls /dev/mqueue; ls /sys/class/net"
    run = ("run", "--rm", *shared)
    done = busybox_host.estiba(*run, "--userns=container:one", "busybox", "sh", "-c", script)
    assert done.stdout.split() == ["1", "eth0", "lo"]
    refused = busybox_host.estiba(*run, AUTO, "busybox", "true", check=False)
    assert refused.returncode == 125 and "has other ids" in refused.stderr
    hosts = ("--pid=host", "--ipc=host", "--network=host", "--uts=host")
    script = f"kill -0 {os.getpid()} || test -d /proc/{os.getpid()}"
    seen = busybox_host.estiba("run", "--rm", AUTO, *hosts, "busybox", "sh", "-c", script, check=False)
    assert seen.returncode == 0 and "not permitted" in seen.stderr


def test_a_namespace_that_exists_is_joined(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "--network=none", AUTO, "busybox", "sleep", "100")
    path = f"/proc/{busybox_host.inspect('one')['State']['Pid']}/ns/user"
    busybox_host.estiba("run", "-d", "--name", "two", f"--userns=ns:{path}", "busybox", "sleep", "100")
    assert _range(busybox_host, "two") == _range(busybox_host, "one")


def test_ids_may_be_chosen(busybox_host):
    show = ("busybox", "sh", "-c", "cat /proc/self/uid_map; echo /; cat /proc/self/gid_map; touch /f; stat -c %u:%g /f")

    def maps(*flags: str) -> list[str]:
        done = busybox_host.estiba("run", "--rm", "--network=none", *flags, *show)
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    assert maps("--uidmap=0:200000:1000", "--uidmap=1000:5000") == [
        *("0 200000 1000", "1000 5000 1", "/", "0 200000 1000", "1000 5000 1", "0:0"),
    ]
    assert maps("--uidmap=0:200000:1000", "--gidmap=0:300000:50")[2:] == ["0 300000 50", "0:0"]
    assert maps("--userns=keep-id")[0] == "0 0 4294967295"
    fixed = maps("--userns=auto:size=2000,uidmapping=5:4000:2,gidmapping=0:4000:1")
    assert fixed[1] == "5 4000 2" and fixed[0].split()[2] == "5" and fixed[2].split()[2] == "1993"
    assert fixed[4] == "0 4000 1"


def test_after_a_kill_of_the_monitor_its_ids_are_not_given_to_another_while_it_lives(busybox_host):
    busybox_host.estiba("run", "-d", "--network", "none", "--name", "one", AUTO, "busybox", "sleep", "100")
    taken, _ = _range(busybox_host, "one")
    monitors = busybox_host.monitors()
    pid = busybox_host.inspect("one")["State"]["Pid"]
    os.kill(pid, signal.SIGSTOP)  # it outlives its monitor whatever the monitor's end brings
    for monitor in monitors:
        os.kill(monitor, signal.SIGKILL)
    wait_until(lambda: not busybox_host.monitors(), "the monitor ends")
    shown = busybox_host.estiba("run", "--rm", "--network", "none", AUTO, "busybox", "cat", "/proc/self/uid_map")
    assert os.path.exists(f"/proc/{pid}") and int(shown.stdout.split()[1]) != taken
    assert busybox_host.state("one") == "exited"
    shown = busybox_host.estiba("run", "--rm", "--network", "none", AUTO, "busybox", "cat", "/proc/self/uid_map")
    assert int(shown.stdout.split()[1]) <= taken


def test_a_directory_of_the_host_is_shown_with_the_owners_that_it_has_inside(busybox_host, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "of-root").write_text("x")
    script = "ls -ln /d/of-root; touch /d/new; chown 1000:1000 /d/new"
    flags = ("--rm", "--network=none", AUTO)
    done = busybox_host.estiba("run", *flags, "-v", f"{tmp_path}/d:/d:idmap", "busybox", "sh", "-c", script)
    assert done.stdout.split()[2:4] == ["0", "0"]
    assert os.stat(tmp_path / "d" / "new").st_uid == 1000
    plain = busybox_host.estiba("run", *flags, "-v", f"{tmp_path}/d:/d", "busybox", "sh", "-c", script, check=False)
    assert plain.stdout.split()[2:4] == ["65534", "65534"] and plain.returncode == 1
    read_only = busybox_host.estiba(
        "run", *flags, "-v", f"{tmp_path}/d:/d:ro,idmap", "busybox", "touch", "/d/x", check=False
    )
    assert "Read-only" in read_only.stderr


def test_a_mount_may_have_owners_of_its_own(busybox_host, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("x")
    os.chown(tmp_path / "f", 5, 6)
    show = ("busybox", "stat", "-c", "%u:%g", "/d/f")
    for ids, option, owners in (
        ("--userns=host", "uids=5-1000-1;gids=6-1000-1", "1000:1000"),
        (AUTO, "uids=@5-1000-1;gids=@6-1001-1", "1000:1001"),
        ("--uidmap=0:200000:2000", "uids=5-200007-1;gids=6-200008-2", "7:8"),
    ):
        done = busybox_host.estiba("run", "--rm", "--network=none", ids, "-v", f"{tmp_path}:/d:idmap={option}", *show)
        assert done.stdout == owners + "\n"
    for ids, option, word in (
        ("--userns=host", "idmap", "Add --userns=auto"),
        (AUTO, "idmap=uids=@1-70000-1;gids=@1-0-1", "does not have"),
        (AUTO, "idmap=uids=1-2-3", "takes uids and gids"),
    ):
        failed = busybox_host.estiba("run", "--rm", ids, "-v", f"{tmp_path}:/d:{option}", *show, check=False)
        assert failed.returncode == 125 and word in failed.stderr


def test_the_ids_of_a_setting_are_those_of_every_container_that_asks_for_none(busybox_host, monkeypatch):
    monkeypatch.setenv("ESTIBA_USERNS", "auto")
    show = ("busybox", "cat", "/proc/self/uid_map")
    assert int(busybox_host.estiba("run", "--rm", "--network=none", *show).stdout.split()[1]) > 0
    assert busybox_host.estiba("run", "--rm", "--network=none", "--userns=host", *show).stdout.split()[1] == "0"
    monkeypatch.setenv("ESTIBA_USERNS", "mine")
    failed = busybox_host.estiba("run", "--rm", *show, check=False)
    assert failed.returncode == 125 and "mine" in failed.stderr
