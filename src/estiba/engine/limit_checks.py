"""Whether limits can be: with each other, and on this machine. Docker's rules. Pure."""

from __future__ import annotations

from estiba.engine.quantities import is_number
from estiba.engine.spec import ULIMIT_NAMES
from estiba.errors import InvalidInput
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from estiba.engine.options import BlockIo, Limits, Ulimit

LEAST_MEMORY = 6 << 20
LEAST_SHARES, MOST_SHARES = 2, 262144


class Processors(NamedTuple):
    """What the machine has: how many processors this process may use, and the lists that a cpuset may name from.

    A list is None where it is not known.
    """

    number: int
    cpus: frozenset[int] | None = None
    mems: frozenset[int] | None = None


def checked(limits: Limits, machine: Processors) -> Limits:
    """The limits, with shares moved into the kernel's range, as Docker does.

    Raises:
        InvalidInput: a limit that the kernel would not take, two that contradict each other, or more than there is.
    """
    _check_memory(limits)
    _check_processors(limits, machine)
    if limits.pids < -1:
        raise InvalidInput(
            f"invalid --pids-limit {limits.pids}", remedy="Give a number of processes, or -1 for no limit."
        )
    if limits.oom_score_adj is not None and not -1000 <= limits.oom_score_adj <= 1000:
        raise InvalidInput(
            f"invalid --oom-score-adj {limits.oom_score_adj}", remedy="Give a number from -1000 to 1000."
        )
    for ulimit in limits.ulimits:
        _check_ulimit(ulimit)
    if limits.shm_size < 0:
        raise InvalidInput("--shm-size cannot be negative", remedy="Give a size such as 64m.")
    shares = limits.cpu_shares
    return limits._replace(cpu_shares=min(max(shares, LEAST_SHARES), MOST_SHARES) if shares else 0)


def check_block_io(block_io: BlockIo) -> None:
    """Raise InvalidInput for a weight that is out of range, and for a rate of what is no device."""
    weights, *rates = block_io[1:]
    for weight in (block_io.weight, *(number for _, number in weights)):
        if weight and not 10 <= weight <= 1000:
            raise InvalidInput(f"invalid blkio weight {weight}", remedy="Give a number from 10 to 1000.")
    for path, number in (entry for entries in (weights, *rates) for entry in entries):
        if not path.startswith("/dev/") or ".." in path.split("/") or "\0" in path:
            raise InvalidInput(f"invalid block device {path!r}", remedy="Write a device and a number: /dev/sda:NUMBER.")
        if number < 0:
            raise InvalidInput(f"invalid rate {number} of {path}", remedy="The number cannot be negative.")


def _check_ulimit(ulimit: Ulimit) -> None:
    if ulimit.name not in ULIMIT_NAMES:
        raise InvalidInput(
            f"there is no limit {ulimit.name!r}", remedy=f"Limits are {', '.join(sorted(ULIMIT_NAMES))}."
        )
    if ulimit.soft < -1 or ulimit.hard < -1:
        raise InvalidInput(f"invalid --ulimit {ulimit.name}", remedy="Give a number, or -1 for no limit.")
    if ulimit.hard != -1 and not -1 < ulimit.soft <= ulimit.hard:
        raise InvalidInput(
            f"invalid limit of {ulimit.name}: the soft one is above the hard one", remedy="Write NAME=SOFT:HARD."
        )


def _check_memory(limits: Limits) -> None:
    if limits.oom_kill_disable and not limits.memory:
        raise InvalidInput(
            "--oom-kill-disable without --memory would let the container take all of the machine's memory",
            remedy="Add --memory SIZE.",
        )
    memory, swap, reservation = limits.memory, limits.memory_swap, limits.memory_reservation
    if 0 < memory < LEAST_MEMORY:
        raise InvalidInput("the minimum memory limit is 6 MB", remedy="Give --memory at least 6m.")
    if swap and not memory:
        raise InvalidInput("--memory-swap needs --memory as well", remedy="Add --memory SIZE.")
    if 0 < swap < memory:
        raise InvalidInput(
            "--memory-swap is memory and swap together: it cannot be less than --memory",
            remedy="Give at least the size of --memory, or -1 for no limit of swap.",
        )
    if 0 < reservation < LEAST_MEMORY:
        raise InvalidInput("the minimum memory reservation is 6 MB", remedy="Give --memory-reservation at least 6m.")
    if memory and reservation > memory:
        raise InvalidInput(
            "--memory-reservation is the softer limit: it cannot be more than --memory",
            remedy="Give at most the size of --memory.",
        )
    if limits.swappiness is not None and not 0 <= limits.swappiness <= 100:
        raise InvalidInput(f"invalid --memory-swappiness {limits.swappiness}", remedy="Give a number from 0 to 100.")


def _check_processors(limits: Limits, machine: Processors) -> None:
    if limits.nano_cpus:
        if limits.cpu_period or limits.cpu_quota:
            raise InvalidInput(
                "--cpus contradicts --cpu-period and --cpu-quota, which it is made of", remedy="Leave it, or them, out."
            )
        if limits.nano_cpus < 10**7 or limits.nano_cpus > machine.number * 10**9:
            raise InvalidInput(
                f"{limits.nano_cpus / 10**9:g} CPUs cannot be given: this machine has {machine.number}",
                remedy=f"Give --cpus from 0.01 to {machine.number}.",
            )
    if limits.cpu_shares < 0:
        raise InvalidInput("--cpu-shares cannot be negative", remedy="Give a number from 2 to 262144.")
    if limits.cpu_period and not 1000 <= limits.cpu_period <= 1_000_000:
        raise InvalidInput(
            f"invalid --cpu-period {limits.cpu_period}", remedy="Give 1000 (1 ms) to 1000000 (1 s) microseconds."
        )
    if limits.cpu_quota < -1 or 0 < limits.cpu_quota < 1000:
        raise InvalidInput(f"invalid --cpu-quota {limits.cpu_quota}", remedy="Give at least 1000 (1 ms) microseconds.")
    if (
        limits.cpu_rt_period < 0
        or limits.cpu_rt_runtime < 0
        or (limits.cpu_rt_period and limits.cpu_rt_runtime > limits.cpu_rt_period)
    ):
        raise InvalidInput(
            "--cpu-rt-runtime is a part of --cpu-rt-period: it cannot be more", remedy="Give both in microseconds."
        )
    _check_set("--cpuset-cpus", limits.cpuset_cpus, machine.cpus)
    _check_set("--cpuset-mems", limits.cpuset_mems, machine.mems)


def _check_set(flag: str, text: str, there: frozenset[int] | None) -> None:
    if not text:
        return
    wanted = parsed_set(text)
    if wanted is None:
        raise InvalidInput(f"invalid value {text!r} for {flag}", remedy="Write a list such as 0-2,4.")
    if there is not None and (missing := wanted - there):
        raise InvalidInput(
            f"{flag} {text}: this machine does not have {', '.join(str(number) for number in sorted(missing)[:8])}",
            remedy=f"Choose from {', '.join(str(number) for number in sorted(there))}.",
        )


def parsed_set(text: str) -> frozenset[int] | None:
    """The numbers of ``0-2,4``; None where it is no such list."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (is_number(first) and is_number(last)):
            return None
        if int(last) > 65535 or int(first) > int(last):
            return None
        found.update(range(int(first), int(last) + 1))
    return frozenset(found)
