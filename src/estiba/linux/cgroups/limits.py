"""Limits that both versions of control groups spell almost alike: huge pages, RDMA, network, block devices. Pure."""

from __future__ import annotations

from estiba.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def huge_pages(limits: Iterable[Mapping[str, Any]], *, unified: bool) -> list[tuple[str, str, bool]]:
    """(file, text, is needed) of `hugepageLimits`: what is used, and what is reserved where the kernel counts that."""
    wanted = []
    for limit in limits:
        size = _page_size(limit["pageSize"])
        value = str(limit["limit"])
        if unified:
            wanted += [(f"hugetlb.{size}.max", value, True), (f"hugetlb.{size}.rsvd.max", value, False)]
        else:
            wanted += [
                (f"hugetlb.{size}.limit_in_bytes", value, True),
                (f"hugetlb.{size}.rsvd.limit_in_bytes", value, False),
            ]
    return wanted


def rdma(limits: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str]]:
    """(file, text) of `rdma`, the same in both versions."""
    wanted = []
    for device, limit in limits.items():
        if not device or " " in device or "\n" in device:
            raise InvalidInput(f"{device!r} is no RDMA device")
        words = [device]
        if limit.get("hcaHandles") is not None:
            words.append(f"hca_handle={limit['hcaHandles']}")
        if limit.get("hcaObjects") is not None:
            words.append(f"hca_object={limit['hcaObjects']}")
        if len(words) == 1:
            raise InvalidInput(f"the RDMA limit of {device} has neither hcaHandles nor hcaObjects")
        wanted.append(("rdma.max", " ".join(words)))
    return wanted


def network(limits: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(controller, file, text) of `network`, which only version 1 has."""
    wanted = []
    if limits.get("classID") is not None:
        wanted.append(("net_cls", "net_cls.classid", str(limits["classID"])))
    wanted.extend(
        ("net_prio", "net_prio.ifpriomap", f"{entry['name']} {entry['priority']}")
        for entry in limits.get("priorities") or ()
    )
    return wanted


def device_weights(block_io: Mapping[str, Any], *, key: str = "weight") -> list[tuple[str, int]]:
    """("MAJOR:MINOR", weight) of `weightDevice`."""
    return [
        (f"{entry['major']}:{entry['minor']}", entry[key])
        for entry in block_io.get("weightDevice") or ()
        if entry.get(key)
    ]


def _page_size(text: str) -> str:
    """``2MB`` as the kernel names its files; the spec asks for exactly that spelling."""
    number, unit = text[:-2], text[-2:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        raise InvalidInput(f"{text!r} is no size of pages such as 2MB")
    return text
