"""What a change of limits asks the runtime for."""

from __future__ import annotations

from estiba.engine import updating
from estiba.engine.options import ContainerOptions, Limits


def test_an_update_asks_for_nothing_that_the_kernel_does_not_count(monkeypatch):
    options = ContainerOptions("busybox", limits=Limits(memory=1 << 26))
    told = []
    for counts in (True, False):
        monkeypatch.setattr(updating, "counts_swap", lambda counts=counts: counts)
        monkeypatch.setattr(updating, "counts_pids", lambda counts=counts: counts)
        told.append(updating._told(options, updating.Changes(Limits(cpu_shares=5))))
    assert told[0]["memory"] == {"limit": 1 << 26, "swap": 1 << 27} and "pids" in told[0]
    assert told[1] == {"memory": {"limit": 1 << 26}}
    asked = Limits(pids=9, memory=1 << 26, memory_swap=1 << 28)
    given = updating._told(options._replace(limits=asked), updating.Changes())
    assert (given["pids"], given["memory"]["swap"]) == ({"limit": 9}, 1 << 28), "what is asked for is told"
