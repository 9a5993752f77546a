"""Planning a build: which steps are needed and in which order. Pure."""

from __future__ import annotations

from estiba.graph.vertex import Vertex, walk
from estiba.values import NamedTuple


class Plan(NamedTuple):
    """Each needed step once, its inputs before it; `users` are the positions of the steps that wait for a step."""

    steps: tuple[Vertex, ...]
    users: tuple[tuple[int, ...], ...]
    waits_for: tuple[int, ...]
    """How many different steps each step waits for."""


def plan(*targets: Vertex) -> Plan:
    """What must be done for `targets`, and nothing else; steps of equal digest are one."""
    steps: list[Vertex] = []
    walk(*targets, visit=steps.append)
    position = {vertex.digest: index for index, vertex in enumerate(steps)}
    users: list[list[int]] = [[] for _ in steps]
    waits_for: list[int] = []
    for index, vertex in enumerate(steps):
        needed = {position[each.digest] for each in vertex.inputs}
        waits_for.append(len(needed))
        for each in needed:
            users[each].append(index)
    return Plan(tuple(steps), tuple(map(tuple, users)), tuple(waits_for))
