"""What runc's and crun's callers give besides a bundle: another config, a manager of control groups, `spec`."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.root


def test_the_config_may_lie_outside_of_the_bundle(box):
    """crun's `run --config FILE`: the root filesystem is still the bundle's."""
    bundle = box.bundle("false")
    config = os.path.join(box.directory, "elsewhere.json")
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        spec = json.load(file)
    spec["process"]["args"] = ["echo", "other"]
    with open(config, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    done = box.call("run", "-b", bundle, "--config", config, "est-config")
    assert done.stdout == "other\n", done.stderr


def test_a_config_that_is_not_there_is_named(box):
    done = box.call("run", "-b", box.bundle("true"), "--config", "/nowhere.json", "est-config")
    assert done.returncode == 125
    assert "/nowhere.json cannot be read" in done.stderr


def _without_groups(config):
    config["mounts"] = [m for m in config["mounts"] if m["type"] != "cgroup"]
    config["linux"]["resources"] = {}


def test_without_a_manager_there_is_no_control_group(box):
    bundle = box.bundle("cat", "/proc/self/cgroup", change=_without_groups)
    done = box.call("--cgroup-manager", "disabled", "run", "-b", bundle, "est-free")
    assert done.returncode == 0, done.stderr
    assert "est-free" not in done.stdout
    assert not glob.glob("/sys/fs/cgroup/*/estiba/est-free")


@pytest.mark.parametrize("resources", [{"pids": {"limit": 5}}, {"devices": [{"allow": False, "access": "rwm"}]}])
def test_without_a_manager_no_limit_is_ignored(box, resources):
    def change(config):
        _without_groups(config)
        config["linux"]["resources"] = resources

    bundle = box.bundle("true", change=change)
    done = box.call("--cgroup-manager", "disabled", "run", "-b", bundle, "est-free")
    assert done.returncode == 125
    assert f"limits ({next(iter(resources))}) need a control group" in done.stderr


@pytest.mark.parametrize("flag", [["--systemd-cgroup"], ["--cgroup-manager", "systemd"]])
def test_the_manager_systemd_needs_systemd(box, flag):
    if os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd runs here")
    done = box.call(*flag, "run", "-b", box.bundle("true"), "est-sd")
    assert done.returncode == 125
    assert "systemd does not run here" in done.stderr


def test_an_unknown_manager_is_refused(box):
    assert "no manager of control groups 'other'" in box.call("--cgroup-manager", "other", "list").stderr


def test_spec_writes_a_config_that_runs(box):
    bundle = os.path.join(box.directory, "new")
    os.mkdir(bundle)
    assert box.call("spec", "-b", bundle).returncode == 0
    assert "Remove it first" in box.call("spec", "-b", bundle).stderr
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    assert (spec["process"]["args"], spec["process"]["terminal"]) == (["sh"], True)
    spec["process"] |= {"terminal": False, "args": ["echo", "it runs"]}
    os.symlink(box.rootfs, os.path.join(bundle, "rootfs"))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    assert box.call("run", "-b", bundle, "est-spec").stdout == "it runs\n"


def test_spec_for_an_ordinary_user_maps_the_users_own_id(tmp_path):
    from estiba.runtime.launcher import __file__ as launcher

    os.chmod(tmp_path, 0o777)
    program = "import runpy, sys, os; os.setgid(4242); os.setuid(4242); sys.argv[0] = sys.argv[1]; del sys.argv[1]; "
    program += "from estiba.runtime.main import main; sys.exit(main(sys.argv[1:]))"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import estiba.runtime.verbs.others, estiba.runtime.spec, json; "
    )
    source = os.path.dirname(os.path.dirname(os.path.dirname(launcher)))
    done = subprocess.run(
        [sys.executable, "-I", "-c", code + program, source, "spec", "--rootless"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Permission denied" in done.stderr:
        pytest.skip("the test's directory is out of an ordinary user's reach")
    spec = json.loads((tmp_path / "config.json").read_text())
    assert spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 4242, "size": 1}]
    kinds = {n["type"] for n in spec["linux"]["namespaces"]} - {"cgroup"}  # that one where there is version 2 alone
    assert kinds == {"mount", "pid", "ipc", "uts", "user"}


def test_features_are_those_of_the_spec(box):
    features = json.loads(box.call("features").stdout)
    assert (features["ociVersionMin"], features["ociVersionMax"]) == ("1.0.0", "1.3.0")
    assert len(features["hooks"]) == 6
    linux = features["linux"]
    assert linux["mountExtensions"] == {"idmap": {"enabled": True}}
    assert {"idmap", "ridmap", "rro", "rprivate", "tmpcopyup"} <= set(features["mountOptions"])
    assert "SCMP_ACT_NOTIFY" in linux["seccomp"]["actions"]
    assert linux["seccomp"]["knownFlags"] == linux["seccomp"]["supportedFlags"]
    assert linux["intelRdt"]["enabled"] is False
    assert linux["selinux"]["enabled"] is linux["apparmor"]["enabled"] is True
    assert "MPOL_BIND" in linux["memoryPolicy"]["modes"]
    # An annotation that begins so sets a property of systemd's unit, whatever that is.
    assert features["potentiallyUnsafeConfigAnnotations"] == ["org.systemd.property."]


def test_spec_has_in_substance_what_runcs_has(box, tmp_path):
    """Whoever changes a part of it, as runc's own tests do, meets the rest as expected."""
    runc = shutil.which("runc")
    if runc is None:
        pytest.skip("runc is not installed")
    specs = []
    for name, command in (("ours", box.command), ("theirs", [runc])):
        os.mkdir(tmp_path / name)
        subprocess.run([*command, "spec", "-b", str(tmp_path / name)], check=True, timeout=20)
        specs.append(json.loads((tmp_path / name / "config.json").read_text()))
    ours, theirs = specs
    for name in ("args", "cwd", "env", "terminal", "noNewPrivileges", "rlimits"):
        assert ours["process"][name] == theirs["process"][name]
    assert ours["process"]["capabilities"]["bounding"] == theirs["process"]["capabilities"]["bounding"]
    assert ours["root"] == theirs["root"]
    assert {m["destination"] for m in ours["mounts"]} == {m["destination"] for m in theirs["mounts"]}
    for name in ("maskedPaths", "readonlyPaths"):
        assert set(ours["linux"][name]) >= set(theirs["linux"][name])
    assert {n["type"] for n in ours["linux"]["namespaces"]} == {n["type"] for n in theirs["linux"]["namespaces"]}
    assert ("seccomp" in ours["linux"]) == ("seccomp" in theirs["linux"])
