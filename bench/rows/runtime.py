"""The OCI runtimes alone: `run` of one bundle, from its config.json to the end of its program."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import estiba
from bench.arena import Arena
from bench.measure import Contender, Row
from bench.workspace import call

_UNIFIED = Path("/sys/fs/cgroup/unified")


_MANY = 20
# crun takes no machine whose cgroups are of both versions, so each runs where the second is out of sight.
_HIDE = f"umount {_UNIFIED} && " if _UNIFIED.is_mount() else ""


def row(arena: Arena) -> Row:
    bundle = _bundle(arena)
    numbers = itertools.count()

    def run(command: str) -> Callable[[], None]:
        return lambda: _apart(f"exec {command} run -b {bundle} est-{next(numbers)}")

    ours = os.path.join(os.path.dirname(sys.executable), "estiba-runtime")
    contenders = [Contender("Estiba", run(ours))]
    contenders += [Contender(name, run(name)) for name in ("runc", "crun") if shutil.which(name)]
    missing = {name: f"{name} is not installed" for name in ("runc", "crun") if not shutil.which(name)}
    note = "`run` of a bundle with `true`, as `runc spec` describes it. The time of `unshare -m sh` is in each."
    return Row("The OCI runtime alone", note, tuple(contenders), missing)


def warm(arena: Arena) -> Row:
    """What a container costs a process that has everything loaded, beside runtimes that have nothing to load."""
    bundle = _bundle(arena)
    numbers = itertools.count()
    place = Path(estiba.__file__).parent.parent
    script = Path(__file__).parent.parent / "warm.py"
    ours = f"exec {sys.executable} -I -S {script} {place} {bundle} {arena.workspace.directory}/warm {_MANY}"

    def many(command: str) -> Callable[[], None]:
        return lambda: _apart(
            f"for i in $(seq {_MANY}); do {command} run -b {bundle} est-{next(numbers)}-$i || exit; done"
        )

    contenders = [Contender("Estiba", lambda: _apart(ours))]
    contenders += [Contender(name, many(name)) for name in ("runc", "crun") if shutil.which(name)]
    missing = {name: f"{name} is not installed" for name in ("runc", "crun") if not shutil.which(name)}
    note = f"{_MANY} containers from a bundle with `true`, one after the other: of one process here, `run` there."
    return Row("Containers of a warm process", note, tuple(contenders), missing, _MANY)


def _apart(script: str) -> None:
    call(["unshare", "-m", "sh", "-c", _HIDE + script])


def _bundle(arena: Arena) -> Path:
    bundle = arena.workspace.directory / "bundle"
    root = bundle / "rootfs"
    if not root.exists():
        root.mkdir(parents=True)
        call(["tar", "-C", str(root), "-xf", str(arena.workspace.root_filesystem())])
        ours = os.path.join(os.path.dirname(sys.executable), "estiba-runtime")
        call([ours, "spec", "-b", str(bundle)])
        config = json.loads((bundle / "config.json").read_text())
        config["process"] |= {"terminal": False, "args": ["true"], "rlimits": []}
        (bundle / "config.json").write_text(json.dumps(config))
    return bundle
