"""Commands that change a store, each with what it begins with: for tests that cut them, or let their calls fail.

A `Bench` is one installation that can be put back to its beginning, again and again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from typing import NamedTuple

import archives
import audits
from estiba.oci.reference import Reference
from estiba.store.store import Store
from images import busybox_image
from strikes import Step, trace

LOW, HIGH = archives.tar({"etc/": b"", "etc/name": b"low"}), archives.tar({"b": b"high", "gone": b"x"})
OTHER = archives.tar({"other/": b"", "other/file": b"other"})


class Bench:
    """`home` is the installation; `registry` the address of one with the image ``seed/image:1`` of two layers."""

    def __init__(self, home, registry: str, directory: str) -> None:
        self.home = home
        self.registry = registry
        self.files = directory  # archives and contexts
        self._saved = f"{directory}/saved"

    def save(self) -> None:
        """What is there now is the beginning."""
        shutil.rmtree(self._saved, ignore_errors=True)
        subprocess.run(["cp", "-a", self.home.directory, self._saved], check=True)

    def restore(self) -> None:
        for name in ("root", "run"):
            shutil.rmtree(f"{self.home.directory}/{name}")
            subprocess.run(["cp", "-a", f"{self._saved}/{name}", self.home.directory], check=True)

    def command(self, *words: str) -> list[str]:
        return [*self.home.command, *words]

    def write(self, name: str, data: bytes) -> str:
        path = f"{self.files}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def contents(self) -> audits.Contents:
        return audits.contents(self.home.root)


class Deed(NamedTuple):
    """A command: `prepare` makes what it begins with, once, and `again` each time; `words` are its own.

    `removes` says that it takes things away: then only what is there at its end as well has to be there all the time.
    `begins_sound` is False where it begins with a damaged store.
    """

    prepare: Callable[[Bench], None]
    words: Callable[[Bench, int], list[str]]
    again: Callable[[Bench, int], None] = lambda bench, number: None
    removes: bool = False
    begins_sound: bool = True


def archive(bench: Bench, name: str, *layers: bytes) -> str:
    return bench.write(f"{name}.tar", archives.docker_archive(layers, names=(f"{name}:1",)))


def _one_image(bench: Bench) -> None:
    bench.home.estiba("load", "-i", archive(bench, "kept", LOW, OTHER))


def _two_images(bench: Bench) -> None:
    _one_image(bench)
    bench.home.estiba("load", "-i", archive(bench, "own", LOW, HIGH))


def _to_load(bench: Bench) -> None:
    _one_image(bench)
    archive(bench, "new", LOW, HIGH)


def _to_load_oci(bench: Bench) -> None:
    _one_image(bench)
    bench.write("oci.tar", archives.tar(archives.oci_files((LOW, HIGH), names=("new:1",))))


def _to_import(bench: Bench) -> None:
    _one_image(bench)
    bench.write("files.tar", HIGH)


def _to_build(bench: Bench) -> None:
    with Store.open(bench.home.root) as store:
        busybox_image(store)
    bench.write("context/Dockerfile", b"FROM busybox\nCOPY a b /in/\nRUN rm /in/a && echo x > /in/c\nENV A=1\n")
    bench.write("context/a", b"a" * 1000)
    bench.write("context/b", b"b")


def _name_to_push(bench: Bench, number: int) -> None:
    """A repository of its own each time, to which everything must travel."""
    with Store.open(bench.home.root) as store:
        store.references.set(Reference.parse(_pushed(bench, number)), store.images.find("own:1").id)


def _pushed(bench: Bench, number: int) -> str:
    return f"{bench.registry}/own/n{number}:1"


def _garbage(bench: Bench) -> None:
    """Images without a name, a build cache, and what killed commands leave."""
    _two_images(bench)
    _to_build(bench)
    bench.home.estiba("build", "-q", "-t", "built", f"{bench.files}/context")
    bench.home.estiba("rmi", "built")
    bench.home.estiba("load", "-i", archive(bench, "third", OTHER))
    bench.home.estiba("tag", "own:1", "third:1")  # the other has no name any more
    with Store.open(bench.home.root) as store:
        store.blobs.put(b"nobody needs this")
        store.snapshots.prepare("a killed build", None)
    bench.write("left", b"x")
    shutil.copy(f"{bench.files}/left", f"{bench.home.root}/tmp/blob.1.left")


def _damaged(bench: Bench) -> None:
    """A layer's blob with a wrong byte, and another layer's tree gone."""
    _one_image(bench)
    bench.home.estiba("pull", "-q", f"{bench.registry}/seed/image:1")
    with Store.open(bench.home.root) as store:
        image = store.images.find(f"{bench.registry}/seed/image:1")
        content = store.images.content(image.id)
        blob = store.layer_blobs.get(content.diff_ids[0])[0].digest
        path = store.blobs.path(blob)
        tree = f"{store.paths.snapshot(store.snapshots.get(content.chain_ids[1]).number)}/fs"
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.write(b"wrong")
    shutil.rmtree(tree)


def cut_the_power(root: str) -> bool:
    """The trees that nobody has synced are lost, and it is another boot; says whether there was one."""
    with sqlite3.connect(f"{root}/state.db") as tables:
        lost = tables.execute("SELECT number FROM snapshots WHERE boot IS NOT NULL AND chain_id IS NOT NULL").fetchall()
        tables.execute("UPDATE snapshots SET boot = 'an earlier one' WHERE boot IS NOT NULL")
    tables.close()
    for (number,) in lost:
        shutil.rmtree(f"{root}/snapshots/{number}/fs")
        os.mkdir(f"{root}/snapshots/{number}/fs")
    return bool(lost)


def _after_a_power_cut(bench: Bench) -> None:
    _two_images(bench)
    assert cut_the_power(bench.home.root)


DEEDS = {
    "pull": Deed(_one_image, lambda bench, n: ["pull", "-q", f"{bench.registry}/seed/image:1"]),
    "push": Deed(_two_images, lambda bench, n: ["push", "-q", _pushed(bench, n)], again=_name_to_push),
    "build": Deed(_to_build, lambda bench, n: ["build", "-q", "-t", "built", f"{bench.files}/context"]),
    "load": Deed(_to_load, lambda bench, n: ["load", "-i", f"{bench.files}/new.tar"]),
    "load of a layout": Deed(_to_load_oci, lambda bench, n: ["load", "-i", f"{bench.files}/oci.tar"]),
    "import": Deed(_to_import, lambda bench, n: ["import", f"{bench.files}/files.tar", "imported:1"]),
    "tag": Deed(_two_images, lambda bench, n: ["tag", "own:1", "another:1"]),
    "rmi": Deed(_two_images, lambda bench, n: ["rmi", "own:1"], removes=True),
    "gc": Deed(_garbage, lambda bench, n: ["gc"], removes=True),
    "prune": Deed(_garbage, lambda bench, n: ["prune", "-f", "-a"], removes=True),
    "fsck": Deed(_damaged, lambda bench, n: ["fsck", "--repair"], begins_sound=False),
    "the first after a power cut": Deed(_after_a_power_cut, lambda bench, n: ["fsck"], begins_sound=False),
}


def changes(steps: list[Step]) -> list[Step]:
    """The steps that change something outside of the command, each of them once.

    SQLite writes a transaction to its log page by page: of those in a row the first and the last are taken.
    """
    found = []
    for at, step in enumerate(steps):
        if step.call in ("flock", "exit_group") or step.files[:1] == ("/dev/null",):
            continue
        before = steps[at - 1] if at else None
        after = steps[at + 1] if at + 1 < len(steps) else None
        if before and after and step[1:] == before[1:] == after[1:]:
            continue
        found.append(step)
    return found


def left_alone(bench: Bench, deed: Deed) -> tuple[list[Step], audits.Contents, audits.Contents]:
    """The steps of the command, what has to be there all the time, and what is there when it is done."""
    deed.again(bench, 0)
    before = bench.contents()
    steps = changes(trace(bench.command(*deed.words(bench, 0))))
    bench.home.estiba("gc", "-q", "--partial")
    goal = bench.contents()
    if not deed.removes:
        return steps, before._replace(names={n: i for n, i in before.names.items() if "/own/n" not in n}), goal
    names = {name: image for name, image in before.names.items() if name in goal.names}
    kept = audits.Contents(names, before.images & goal.images, before.things, before.needed & goal.needed)
    return steps, kept, goal


def succeeds_now(bench: Bench, deed: Deed, number: int, goal: audits.Contents) -> None:
    """The same command works, or has nothing more to do; then all is as if nothing had happened."""
    done = bench.home.estiba(*deed.words(bench, number), check=False)
    bench.home.estiba("gc", "-q", "--partial")
    found = bench.contents()
    assert same(found) == same(goal), f"done again, it gives something else: {same(found)} {same(goal)} {done.stderr}"
    assert done.returncode == 0 or deed.removes, done.stderr
    assert "Traceback" not in done.stderr
    audits.assert_sound(bench.home.root, kept=found)
    if number and deed is DEEDS["push"]:
        reference = bench.home.estiba("manifest", "inspect", deed.words(bench, number)[-1])
        assert "layers" in reference.stdout


def same(found: audits.Contents) -> object:
    """What does not depend on how often a command was begun: numbers of snapshots do."""
    names = {name.replace("/own/n", "/n").rstrip("0123456789:"): image for name, image in found.names.items()}
    snapshots = sum(thing.startswith("snapshots/") for thing in found.needed)
    return names, found.images, {thing for thing in found.needed if thing.startswith("blobs/")}, snapshots
