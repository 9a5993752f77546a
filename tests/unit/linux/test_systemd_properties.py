"""What systemd is asked for: units from paths, properties from limits and from annotations."""

from __future__ import annotations

from typing import Any

import pytest

from estiba.errors import InvalidInput
from estiba.linux.cgroups import device_rules
from estiba.linux.cgroups.systemd import names, properties, variants

DEVICES = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n136 other\n"
ALL = (1 << 64) - 1


@pytest.mark.parametrize(
    ("path", "unit", "where"),
    [
        ("system.slice:docker:1234", "docker-1234.scope", "/system.slice/docker-1234.scope"),
        ("a-b-c.slice:crio:x", "crio-x.scope", "/a.slice/a-b.slice/a-b-c.slice/crio-x.scope"),
        (":libpod:x", "libpod-x.scope", "/system.slice/libpod-x.scope"),
        ("machine.slice::x", "x.scope", "/machine.slice/x.scope"),
        ("-.slice:p:x", "p-x.scope", "/p-x.scope"),
        ("", "estiba-box.scope", "/system.slice/estiba-box.scope"),
    ],
)
def test_a_path_names_a_slice_and_a_scope(path: str, unit: str, where: str) -> None:
    scope = names.scope_of(path, "box", is_user=False)
    assert (scope.unit, scope.path()) == (unit, where)


def test_the_scopes_of_a_user_lie_in_the_users_own_slice() -> None:
    assert names.scope_of("", "box", is_user=True).path() == "/user.slice/estiba-box.scope"


@pytest.mark.parametrize(
    "path",
    [
        "/docker/1234",
        "one.slice:two",
        "a.slice:b:c:d",
        "a.slice:b:",
        "a.scope:b:c",
        "a--b.slice:c:d",
        "-a.slice:c:d",
        ".slice:c:d",
        "a/b.slice:c:d",
        "a.slice:b:c/d",
        "a.slice:b:c.slice",
        "a.slice:b:" + "c" * 300,
    ],
)
def test_a_path_that_systemd_could_not_have_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        names.scope_of(path, "box", is_user=False)


def test_a_scope_begins_with_its_process_and_is_counted() -> None:
    scope = names.Scope("p-x.scope", "a.slice", "x")
    assert dict(properties.scope_properties(scope, 42, is_unified=True)) == {
        "Description": ("s", "estiba container x"),
        "Slice": ("s", "a.slice"),
        "Delegate": ("b", True),
        "PIDs": ("au", [42]),
        "MemoryAccounting": ("b", True),
        "CPUAccounting": ("b", True),
        "IOAccounting": ("b", True),
        "TasksAccounting": ("b", True),
        "DefaultDependencies": ("b", False),
    }
    assert "BlockIOAccounting" in dict(properties.scope_properties(scope, 42, is_unified=False))


def told(resources: dict[str, Any], **options: Any) -> dict[str, Any]:
    options = {"is_unified": True, "version": 252, "has_devices": True, "groups": DEVICES} | options
    return {name: value for name, (_, value) in properties.resource_properties(resources, **options)}


@pytest.mark.parametrize(
    ("resources", "unified", "legacy"),
    [
        ({"memory": {"limit": 1000}}, {"MemoryMax": 1000}, {"MemoryLimit": 1000}),
        ({"memory": {"limit": -1}}, {"MemoryMax": ALL, "MemorySwapMax": ALL}, {"MemoryLimit": ALL}),
        (
            {"memory": {"limit": 1000, "swap": 1500, "reservation": 10}},
            {"MemoryMax": 1000, "MemoryLow": 10, "MemorySwapMax": 500},
            {"MemoryLimit": 1000},
        ),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": 100}, {"CPUShares": 1024}),
        ({"cpu": {"idle": 1, "shares": 1024}}, {"CPUWeight": 0}, {"CPUShares": 1024}),
        ({"cpu": {"idle": 0}}, {"CPUWeight": 100}, {}),
        ({"cpu": {"quota": 50000}}, {"CPUQuotaPerSecUSec": 500000}, {"CPUQuotaPerSecUSec": 500000}),
        (
            {"cpu": {"quota": 3333, "period": 10000}},
            {"CPUQuotaPeriodUSec": 10000, "CPUQuotaPerSecUSec": 340000},
            {"CPUQuotaPeriodUSec": 10000, "CPUQuotaPerSecUSec": 340000},
        ),
        ({"cpu": {"quota": -1}}, {"CPUQuotaPerSecUSec": ALL}, {"CPUQuotaPerSecUSec": ALL}),
        (
            {"cpu": {"cpus": "0-2,9", "mems": "0"}},
            {"AllowedCPUs": b"\x07\x02", "AllowedMemoryNodes": b"\x01"},
            {"AllowedCPUs": b"\x07\x02", "AllowedMemoryNodes": b"\x01"},
        ),
        ({"pids": {"limit": 5}}, {"TasksMax": 5}, {"TasksMax": 5}),
        ({"pids": {"limit": -1}}, {"TasksMax": ALL}, {"TasksMax": ALL}),
        ({"blockIO": {"weight": 1000}}, {"IOWeight": 10000}, {"BlockIOWeight": 1000}),
        (
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}},
            {"IODeviceWeight": [("/dev/block/8:0", 1)]},
            {"BlockIODeviceWeight": [("/dev/block/8:0", 10)]},
        ),
        (
            {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}]}},
            {"IOReadBandwidthMax": [("/dev/block/8:0", 7)]},
            {"BlockIOReadBandwidth": [("/dev/block/8:0", 7)]},
        ),
        ({"rdma": {"mlx": {"hcaHandles": 1}}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}, {}, {}),
    ],
)
def test_limits_become_properties(resources: dict[str, Any], unified: dict[str, Any], legacy: dict[str, Any]) -> None:
    assert told(resources) == unified
    assert told(resources, is_unified=False) == legacy


def test_files_of_version_2_become_properties_where_systemd_has_them() -> None:
    unified = {
        "memory.max": "max",
        "memory.high": "900",
        "memory.low": " 10\n",
        "memory.min": "1",
        "memory.swap.max": "0",
        "pids.max": "3",
        "cpu.weight": "7",
        "cpu.max": "max 1000",
        "cpuset.cpus": "1",
        "cpuset.mems": "0-1",
        "memory.oom.group": "1",
    }
    assert told({"unified": unified}) == {
        "MemoryMax": ALL,
        "MemoryHigh": 900,
        "MemoryLow": 10,
        "MemoryMin": 1,
        "MemorySwapMax": 0,
        "TasksMax": 3,
        "CPUWeight": 7,
        "CPUQuotaPeriodUSec": 1000,
        "CPUQuotaPerSecUSec": ALL,
        "AllowedCPUs": b"\x02",
        "AllowedMemoryNodes": b"\x03",
    }


@pytest.mark.parametrize("unified", [{"memory.max": "much"}, {"cpu.max": ""}, {"cpuset.cpus": "3-1"}])
def test_a_value_that_is_none_is_refused(unified: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        told({"unified": unified})


def test_an_older_systemd_is_not_told_what_it_does_not_know() -> None:
    resources = {"cpu": {"idle": 1, "shares": 1024, "quota": 100, "period": 1000, "cpus": "0"}}
    assert told(resources, version=239) == {"CPUWeight": 100, "CPUQuotaPerSecUSec": 100_000}
    assert properties.version_of("v245-1.fc32") == properties.version_of("245.4-4ubuntu3") == 245
    assert properties.version_of("") == 0


DENY_ALL = {"allow": False, "access": "rwm"}


def test_devices_become_a_list_of_what_is_allowed() -> None:
    rules = [
        DENY_ALL,
        {"allow": True, "type": "b", "major": 8, "minor": -1, "access": "r"},
        {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
    ]
    found = told({"devices": rules})
    assert found["DevicePolicy"] == "strict"
    assert {
        ("block-8", "r"),
        ("/dev/char/10:200", "rw"),
        ("char-*", "m"),
        ("block-*", "m"),
        ("/dev/char/1:3", "rwm"),
        ("char-136", "rwm"),
    } <= set(found["DeviceAllow"])
    older = told({"devices": rules}, version=232)
    assert {("block-sd", "r"), ("char-pts", "rwm")} <= set(older["DeviceAllow"])
    assert told({"devices": rules}, has_devices=False) == {}


@pytest.mark.parametrize(
    "rules",
    [
        [{"allow": True, "access": "rwm"}],
        [{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "rwm"}],
    ],
)
def test_what_no_list_can_say_is_left_to_the_groups_own_rules(rules: list[dict[str, Any]]) -> None:
    assert told({"devices": rules}) == {"DevicePolicy": "auto", "DeviceAllow": []}
    everything = [("char-*", "rwm"), ("block-*", "rwm")]
    assert told({"devices": rules}, is_update=True) == {"DevicePolicy": "auto", "DeviceAllow": everything}


def test_rules_for_devices_come_to_what_the_last_ones_say() -> None:
    rules = [
        {"allow": True, "type": "c", "major": 9, "minor": 9, "access": "rwm"},
        DENY_ALL,
        {"allow": True, "type": "c", "major": 1, "minor": 1, "access": "r"},
        {"allow": True, "type": "c", "major": 1, "minor": 1, "access": "w"},
        {"allow": True, "type": "b", "major": 7, "minor": 0, "access": "rw"},
        {"allow": False, "type": "b", "major": 7, "minor": -1, "access": "w"},
        {"allow": True, "type": "b", "major": 6, "minor": 0, "access": "r"},
        {"allow": False, "type": "b", "major": 6, "minor": 0, "access": "rwm"},
    ]
    found = device_rules.allowed(rules, more=())
    assert found is not None
    assert found.texts() == ["c 1:1 rw", "b 7:0 r"]


def test_a_list_of_devices_is_changed_in_its_parts() -> None:
    current = "c 1:3 rwm\nc 1:5 rwm\nc 1:7 rwm\nc 1:8 rwm\nc 1:9 rwm\nc 5:0 rwm\nc 5:1 rwm\nc 5:2 rwm\nc 136:* rwm\n"
    current += "c *:* m\nb *:* m\nb 8:0 rw\nc 10:200 rw\n"
    rules = [DENY_ALL, {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "rm"}]
    assert device_rules.steps(current, rules) == [
        (True, "b 8:0 m"),
        (False, "b 8:0 w"),
        (False, "c 10:200 rw"),
    ]
    assert device_rules.steps("a *:* rwm\n", rules) is None
    assert device_rules.steps(current, [{"allow": True, "access": "rwm"}]) is None


# Annotations


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", ("b", True)),
        ("5", ("i", 5)),
        ("-5", ("i", -5)),
        ("0x10", ("i", 16)),
        ("1.5", ("d", 1.5)),
        ("uint64 5", ("t", 5)),
        ("byte 255", ("y", 255)),
        ("@u 7", ("u", 7)),
        ("'a \\'word\\''", ("s", "a 'word'")),
        ('"text"', ("s", "text")),
        ("objectpath '/a'", ("o", "/a")),
        ("['a', 'b']", ("as", ["a", "b"])),
        ("@as []", ("as", [])),
        ("[uint32 1, 2]", ("au", [1, 2])),
        ("('a', 2)", ("(si)", ("a", 2))),
        ("@a(st) [('a', 2)]", ("a(st)", [("a", 2)])),
        (" [ ( 'a' , true ) ] ", ("a(sb)", [("a", True)])),
    ],
)
def test_values_are_read_in_gvariants_notation(text: str, value: tuple[str, Any]) -> None:
    assert variants.parse(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "word", "'open", "[1, 'a']", "[]", "5 6", "uint32 -1", "byte 256", "3000000000", "(1", "[1 2]", "@s 5", "()"],
)
def test_text_that_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        variants.parse(text)


def test_annotations_set_properties_and_seconds_are_what_unit_files_have() -> None:
    found = variants.properties(
        {
            "org.systemd.property.TimeoutStopSec": "uint64 2",
            "org.systemd.property.RuntimeMaxSec": "0.5",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.Sec": "5",
            "org.other": "5",
        }
    )
    assert found == [
        ("TimeoutStopUSec", ("t", 2_000_000)),
        ("RuntimeMaxUSec", ("t", 500_000)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("Sec", ("i", 5)),
    ]


@pytest.mark.parametrize(
    ("name", "value"), [("Ab", "5"), ("With-dash", "5"), ("Number5x", "5"), ("StopSec", "'text'"), ("StopSec", "-1")]
)
def test_annotations_that_set_no_property_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        variants.properties({f"org.systemd.property.{name}": value})
