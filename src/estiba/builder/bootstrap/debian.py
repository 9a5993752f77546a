"""A tree with a minimal Debian in it, made by mmdebstrap or debootstrap from the distribution's own archive."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping

from estiba.errors import Unavailable

_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TMPDIR")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 10.0  # seconds, for the tool to end what it started

# What the tools leave of this machine or of this moment.
_REMOVED = (
    "etc/resolv.conf",
    "etc/hostname",
    "etc/.pwd.lock",
    "var/cache/ldconfig/aux-cache",
    "var/lib/systemd/random-seed",
)
_EMPTIED_DIRECTORIES = ("dev", "tmp", "run", "var/tmp", "var/log/apt", "var/cache/apt", "var/lib/apt/lists")
_EMPTIED_FILES = ("etc/machine-id", "var/log/dpkg.log", "var/log/bootstrap.log", "var/log/alternatives.log")
_APT_SETTINGS = (
    'APT::Install-Recommends "false";\nAcquire::Languages "none";\n'
    'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
    'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\n'
)
_NO_SERVICES = "#!/bin/sh\n# A container has no init that starts services when a package is installed.\nexit 101\n"


def make_tree(
    tree: str,
    *,
    suite: str,
    architecture: str,
    environment: Mapping[str, str],
    epoch: int,
    say: Callable[[bytes], None],
) -> None:
    """Fill the empty directory `tree` with the essential packages and apt of `suite`.

    Raises:
        Unavailable: no tool is installed, this is not root, or the archive cannot be reached.
    """
    if os.geteuid() != 0:
        raise Unavailable("a Debian image can only be made by root", remedy="Run it with sudo, or pull an image.")
    command = _command(tree, suite, architecture)
    env = {"PATH": _PATH, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(epoch), "DEBIAN_FRONTEND": "noninteractive"}
    env |= {name: environment[name] for name in _PASSED_ON if name in environment}
    with subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as tool:
        assert tool.stdout is not None
        said = []
        try:
            for line in tool.stdout:
                said.append(line)
                say(line)
        except BaseException:
            _end(tool)
            raise
    if tool.returncode:
        words = b"".join(said[-8:]).decode("utf-8", "replace").strip()
        raise Unavailable(
            f"{command[0]} could not make debian:{suite} (exit code {tool.returncode}):\n{words}",
            remedy="Is the release's name right, and can its archive be reached (apt-get update)?",
        )
    _forget_this_machine(tree)
    _settle(tree)


def _end(tool: subprocess.Popen[bytes]) -> None:
    """Nobody writes into the tree any more once this returns: mmdebstrap itself would only wait for its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(tool.pid, number)
        try:
            tool.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            continue
        return


def _command(tree: str, suite: str, architecture: str) -> list[str]:
    if shutil.which("mmdebstrap", path=_PATH):
        # The directory is there already; the hooks' chroot needs nothing else of it.
        return [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            f"--arch={architecture}",
            "--format=directory",
            suite,
            tree,
        ]
    if shutil.which("debootstrap", path=_PATH):
        return ["debootstrap", "--variant=minbase", f"--arch={architecture}", suite, tree]
    raise Unavailable(
        "neither mmdebstrap nor debootstrap is installed", remedy="Install one with: apt-get install mmdebstrap"
    )


def _forget_this_machine(tree: str) -> None:
    for path in _REMOVED:
        _unlink(f"{tree}/{path}")
    for path in _EMPTIED_FILES:
        if os.path.isfile(f"{tree}/{path}") and not os.path.islink(f"{tree}/{path}"):
            os.truncate(f"{tree}/{path}", 0)
    for path in _EMPTIED_DIRECTORIES:
        directory = f"{tree}/{path}"
        if not os.path.isdir(directory) or os.path.islink(directory):
            continue
        for name in os.listdir(directory):
            if os.path.isdir(f"{directory}/{name}") and not os.path.islink(f"{directory}/{name}"):
                shutil.rmtree(f"{directory}/{name}")
            else:
                os.unlink(f"{directory}/{name}")


def _settle(tree: str) -> None:
    """What an image of Debian has beside its packages: apt keeps no caches, packages start no services."""
    os.makedirs(f"{tree}/var/lib/apt/lists/partial", exist_ok=True)
    os.makedirs(f"{tree}/var/cache/apt/archives/partial", exist_ok=True)
    _write(f"{tree}/etc/apt/apt.conf.d/90estiba", _APT_SETTINGS, 0o644)
    _write(f"{tree}/usr/sbin/policy-rc.d", _NO_SERVICES, 0o755)


def _write(path: str, text: str, mode: int) -> None:
    _unlink(path)
    with open(path, "x", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
