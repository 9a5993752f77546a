"""What is said where the kernel has killed something for want of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from estiba.builder.failures import StepFailed
from estiba.builder.request import BuildRequest
from estiba.builder.step import memory
from estiba.graph.vertex import Run, Vertex
from estiba.oci.platform import Platform


@pytest.mark.parametrize(
    ("limit", "bound"),
    [(512 << 20, "the limit of memory here is 512 MiB"), (0, "the machine has 8.0 GiB of memory")],
)
def test_the_limit_and_the_largest_process_are_told(limit: int, bound: str) -> None:
    """Of a machine without a limit, what it has."""
    assert memory.words(limit=limit, total=8 << 30, largest=500 << 20) == (
        "out of memory: the kernel killed a process while the command ran; "
        f"{bound}, and the largest process of this step took 500 MiB"
    )


def test_the_kernels_counter_and_the_machine_are_read() -> None:
    """From files that every kernel has."""
    assert memory.kills() >= 0
    assert memory.note().startswith("out of memory: ")


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/a/b\n", {"a/memory.max": "2000\n", "a/b/memory.max": "max\n"}, 2000),
        ("0::/a/b\n", {"a/memory.max": "2000\n", "a/b/memory.max": "1000\n"}, 1000),
        ("4:cpu,memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "3000\n"}, 3000),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, 0),
        ("0::/\n", {}, 0),
    ],
)
def test_the_least_limit_above_counts(
    groups: str, files: dict[str, str], limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either version of control groups."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "self").write_text(groups)
    read = memory._lines
    monkeypatch.setattr(memory, "_GROUPS", str(tmp_path))
    monkeypatch.setattr(memory, "_lines", lambda path: read(path.replace("/proc/self/cgroup", f"{tmp_path}/self")))
    assert memory._limit() == limit


def test_a_failed_step_says_it_in_the_place_of_the_signal() -> None:
    """A number alone would leave it to the reader."""
    vertex = Vertex.of(Run(("/bin/sh", "-c", "make")), name="[1/1] RUN make")
    request = BuildRequest("/c", "FROM a\nRUN make\n", "Dockerfile", "", Platform("linux", "amd64"))
    assert "ended with exit code 137: it was ended by SIGKILL" in str(
        StepFailed(vertex, request, exit_code=137, output="")
    )
    told = StepFailed(vertex, request, exit_code=137, output="", note="out of memory: …")
    assert "ended with exit code 137: out of memory: …" in str(told)
