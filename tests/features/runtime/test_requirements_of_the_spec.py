"""Requirements of config.md, config-linux.md and runtime.md that no other test shows."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.root


def test_a_config_that_changes_after_create_changes_nothing(box, wait_until) -> None:
    """runtime.md, "Lifecycle", 2: any updates to config.json after this step MUST NOT affect the container."""
    box.create("est-after", "sh", "-c", "echo first > /tmp/said")
    path = os.path.join(box.directory, f"bundle{box._bundles}", "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["process"]["args"] = ["sh", "-c", "echo second > /tmp/said"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    box.client.start("est-after")
    wait_until(lambda: box.client.state("est-after").status == "stopped", "the program ends")
    with open(os.path.join(box.rootfs, "tmp/said"), encoding="ascii") as file:
        assert file.read() == "first\n"


def test_mounts_are_made_in_the_order_of_the_list(box) -> None:
    """config.md, "Mounts": the runtime MUST mount entries in the listed order."""
    tmpfs = {"type": "tmpfs", "source": "tmpfs"}
    wanted = [{"destination": place, **tmpfs} for place in ("/mnt/a", "/mnt", "/mnt/b")]
    done = box.run("awk '$2 ~ /^.mnt/ {print $2}' /proc/mounts; ls /mnt", lambda spec: spec["mounts"].extend(wanted))
    assert done.stdout.split() == ["/mnt/a", "/mnt", "/mnt/b", "b"]


def test_the_domain_name_is_the_containers(box) -> None:
    done = box.run("cat /proc/sys/kernel/domainname", domainname="est.example")
    assert done.stdout == "est.example\n"
    with open("/proc/sys/kernel/domainname", encoding="ascii") as file:
        assert "est.example" not in file.read()


def test_the_user_has_its_groups_its_home_and_no_others(box) -> None:
    done = box.run("id -u; id -g; id -G; echo $HOME", uid=1000, gid=1001, additional_gids=(5, 6))
    assert done.stdout.split("\n")[:4] == ["1000", "1001", "1001 5 6", "/home/user"]


def test_a_user_name_means_nothing_on_linux(box) -> None:
    done = box.run("id -u", lambda spec: spec["process"].update(user={"uid": 3, "gid": 3, "username": "root"}))
    assert done.stdout == "3\n"


def test_the_oom_score_is_as_asked(box) -> None:
    assert box.run("cat /proc/self/oom_score_adj", oom_score_adj=321).stdout == "321\n"


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts"])
def test_a_namespace_file_of_another_type_is_refused(box, kind: str) -> None:
    """config-linux.md, "Namespaces": the runtime MUST generate an error."""
    done = box.run("true", **{kind: "path:/proc/self/ns/mnt"})
    assert done.returncode == 125
    assert "join a namespace: Invalid argument" in done.stderr


def test_properties_that_nobody_knows_are_ignored(box) -> None:
    """config.md, "Extensibility"."""

    def add(spec) -> None:
        spec["unheard"] = spec["process"]["unheard"] = spec["linux"]["unheard"] = {"of": 1}

    assert box.run("echo well", change=add).stdout == "well\n"


def test_masked_and_read_only_paths_may_be_missing(box) -> None:
    done = box.run("echo well", masked_paths=("/nope", "/proc/nope"), readonly_paths=("/nope", "/sys/nope"))
    assert (done.returncode, done.stdout) == (0, "well\n")


def test_the_states_bundle_is_absolute_and_its_pid_is_the_hosts(box) -> None:
    pid = box.start("est-abs", "sleep", "1000")
    document = json.loads(box.call("state", "est-abs").stdout)
    assert os.path.isabs(document["bundle"])
    assert document["pid"] == pid
    assert os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")


@pytest.mark.parametrize("verb", ["create", "start", "state", "kill", "delete"])
def test_every_verb_of_the_spec_needs_an_id_that_exists(box, verb: str) -> None:
    assert box.call(verb).returncode != 0
    if verb != "create":
        done = box.call(verb, "est-never")
        assert done.returncode != 0
        assert "does not exist" in done.stderr


def test_what_existed_before_the_container_is_there_after_it(box) -> None:
    """runtime.md, "Delete": resources that this container did not create MUST NOT be deleted."""
    other = box.start("est-owner", "sleep", "1000")
    box.start("est-guest", "sleep", "1000", network=f"path:/proc/{other}/ns/net")
    box.client.delete("est-guest", force=True)
    assert box.client.state("est-owner").status == "running"
    assert box.call("exec", "est-owner", "cat", "/proc/net/dev").returncode == 0
