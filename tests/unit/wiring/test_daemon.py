"""What the daemon starts is Estiba's own code, wherever the daemon was started."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path

import pytest

import estiba
from estiba.wiring.daemon import daemon_backends
from estiba.wiring.house import House
from estiba.wiring.settings import read

_PACKAGE = Path(estiba.__file__).parent
_HOSTILE = (
    "estiba/__init__.py",
    "sitecustomize.py",
    "usercustomize.py",
    "json.py",
    "tarfile.py",
    "stat.py",
    "errno.py",
)


@pytest.mark.parametrize("places", [("none:/x", "-"), ("-", "none:/x"), ("none",)])
def test_a_copy_loads_nothing_of_the_daemons_directory(tmp_path, places):
    mark = tmp_path / "was-run"
    place = tmp_path / "cwd"
    for name in _HOSTILE:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"open({str(mark)!r}, 'a').write({name!r})\n")
    with House(read({}, root=str(tmp_path / "root"), run=str(tmp_path / "run"))) as house:
        words = daemon_backends(house).copy_command(*places)
    done = subprocess.run(
        words,
        cwd=place,
        env={"PYTHONPATH": str(place), "PYTHONSTARTUP": str(place / "json.py")},
        input=b"",
        capture_output=True,
        timeout=30,
    )
    assert "NoSuchContainer" in json.loads(done.stderr)["kinds"]
    assert not mark.exists()


def test_no_interpreter_is_started_that_looks_around_for_its_modules():
    commands = []
    for path in _PACKAGE.rglob("*.py"):
        text = path.read_text()
        if "sys.executable" in text:
            commands += [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.List | ast.Tuple)]
    found = [ast.unparse(node) for node in commands if any(ast.unparse(one) == "sys.executable" for one in node.elts)]
    assert found
    assert [one for one in found if "sys.executable, '-I'" not in one] == []
