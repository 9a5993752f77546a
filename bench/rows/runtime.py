"""The OCI runtimes alone: `run` of one bundle, from its config.json to the end of its program."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from bench.arena import Arena
from bench.measure import Contender, Row
from bench.workspace import call

_UNIFIED = Path("/sys/fs/cgroup/unified")


def row(arena: Arena) -> Row:
    bundle = _bundle(arena)
    # crun takes no machine whose cgroups are of both versions, so each runs where the second is out of sight.
    hide = f"umount {_UNIFIED} && exec " if _UNIFIED.is_mount() else "exec "
    numbers = itertools.count()

    def run(command: str) -> Callable[[], None]:
        return lambda: void(call(["unshare", "-m", "sh", "-c", f"{hide}{command} run -b {bundle} est-{next(numbers)}"]))

    ours = os.path.join(os.path.dirname(sys.executable), "estiba-runtime")
    contenders = [Contender("Estiba", run(ours))]
    contenders += [Contender(name, run(name)) for name in ("runc", "crun") if shutil.which(name)]
    missing = {name: f"{name} is not installed" for name in ("runc", "crun") if not shutil.which(name)}
    note = "`run` of a bundle with `true`, as `runc spec` describes it. The time of `unshare -m sh` is in each."
    return Row("The OCI runtime alone", note, tuple(contenders), missing)


def void(_output: str) -> None:
    """Nobody reads it."""


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
