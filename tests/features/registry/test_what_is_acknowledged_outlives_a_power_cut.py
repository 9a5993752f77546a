"""The order in which a store's files and rows come to the disk, so that a power cut at any moment loses nothing named.

Temporary file, fsync, rename, fsync of the directory; a file before the row that names it, a row before the answer;
removal the other way round. It is read from the system calls that a command makes.
"""

from __future__ import annotations

import os

import pytest

import audits
from crashes import DEEDS, Bench, cut_the_power, same
from strikes import Step, Struck, trace

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tracer knows the system calls of x86-64 alone"),
]

WRITES = ("write", "pwrite64", "writev", "sendfile", "copy_file_range", "ftruncate")
SYNCS = ("fsync", "fdatasync")
ADDING = ("pull", "push", "build", "load", "load of a layout", "import", "tag")


def steps_of(bench: Bench, name: str) -> list[Step]:
    deed = DEEDS[name]
    deed.prepare(bench)
    deed.again(bench, 0)
    return trace(bench.command(*deed.words(bench, 0)))


@pytest.mark.parametrize("name", ADDING)
def test_a_file_is_whole_before_its_name_and_its_name_before_its_row(bench: Bench, name: str) -> None:
    steps = steps_of(bench, name)
    renames = assert_files_are_published_in_order(steps, bench.home.root)
    assert renames or name == "tag"
    row = last(steps, lambda step: is_of_the_log(step) and step.call in SYNCS)
    if name == "build":  # of which there is only a tree: what came as a blob is unpacked again
        trees = last(steps, lambda step: "/snapshots/" in "".join(step.files) and "/fs/" in "".join(step.files))
        synced = last(steps, lambda step: step.call == "syncfs")
        assert 0 <= trees < synced < row, "the trees of layers are on the disk before the row of the image"
    assert renames == [] or max(renames) < row
    assert name == "tag" or row < last(steps, lambda step: step.files == ("/dev/null",)), "an answer comes last"


@pytest.mark.parametrize("name", ["pull", "load", "build"])
def test_an_image_outlives_a_power_cut_that_takes_whatever_had_not_been_synced(bench: Bench, name: str) -> None:
    """The trees that nobody waited for are gone, in another boot; the blobs and rows are there."""
    deed = DEEDS[name]
    deed.prepare(bench)
    bench.home.estiba(*deed.words(bench, 0))
    before = bench.contents()
    lost = cut_the_power(bench.home.root)
    assert name == "build" or lost, "nothing waits for these trees"
    assert "no problems" in bench.home.estiba("fsck").stdout
    assert same(bench.contents()) == same(before)
    audits.assert_sound(bench.home.root, kept=bench.contents())


def test_what_a_killed_command_had_just_put_there_is_on_the_disk_before_another_names_it(bench: Bench) -> None:
    deed = DEEDS["load"]
    deed.prepare(bench)
    bench.save()
    command, folder = bench.command(*deed.words(bench, 0)), f"{bench.home.root}/blobs/sha256"
    published = [step for step in trace(command) if step.files == (folder,)]
    bench.restore()
    with Struck(published[0].at, command) as struck:
        struck.wait()
    steps = trace(command)
    row = last(steps, lambda step: is_of_the_log(step) and step.call in SYNCS)
    assert 0 <= first(steps, lambda step: step.call == "fsync" and step.files == (folder,)) < row


@pytest.mark.parametrize("words", [("prune", "--plan", "-a"), ("image", "layout")])
def test_files_that_users_are_told_of_are_whole(bench: Bench, words: tuple[str, ...]) -> None:
    DEEDS["gc"].prepare(bench)
    assert assert_files_are_published_in_order(trace(bench.command(*words)), bench.home.root) != []


def test_a_row_goes_before_what_it_names(bench: Bench) -> None:
    steps = steps_of(bench, "rmi")
    row = first(steps, lambda step: is_of_the_log(step) and step.call in SYNCS)
    gone = first(steps, lambda step: step.call in ("unlink", "unlinkat", "rmdir") and is_content(step))
    assert 0 <= row < gone


def assert_files_are_published_in_order(steps: list[Step], *roots: str) -> list[int]:
    """Every file that is renamed to its place below `roots`, unless that is a place for what is to be removed."""
    renames = [
        at
        for at, step in enumerate(steps)
        if step.call.startswith("rename") and step.files[1].startswith(roots) and "/tmp/dead." not in step.files[1]
    ]
    for at in renames:
        source, target = steps[at].files
        written = last(steps[:at], lambda step, it=source: step.call in WRITES and it in step.files)
        synced = last(steps[:at], lambda step, it=source: step.call in SYNCS and step.files == (it,))
        assert 0 <= written < synced, f"{target} is on the disk before it has its name"
        thread = steps[at].at.partition(":")[0]
        later = [step for step in steps[at + 1 :] if step.at.partition(":")[0] == thread and step.files]
        assert later[0][1:] == ("fsync", (os.path.dirname(target),)), f"the name {target} is on the disk"
    return renames


def is_of_the_log(step: Step) -> bool:
    return step.files[:1] != () and step.files[0].endswith("/state.db-wal")


def is_content(step: Step) -> bool:
    return "/blobs/" in step.files[0] or "/snapshots/" in step.files[0]


def first(steps: list[Step], condition) -> int:
    return next((at for at, step in enumerate(steps) if condition(step)), -1)


def last(steps: list[Step], condition) -> int:
    return next((at for at in range(len(steps) - 1, -1, -1) if condition(steps[at])), -1)
