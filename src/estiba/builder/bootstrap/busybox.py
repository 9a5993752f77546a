"""A tree with busybox in it, from the statically linked one of the machine."""

from __future__ import annotations

import os
import struct
import subprocess

from estiba.errors import Unavailable

_PLACES = ("/usr/bin/busybox", "/bin/busybox", "/usr/sbin/busybox")
_DIRECTORIES = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "root": 0o700, "tmp": 0o1777, "usr": 0o755}
_DIRECTORIES |= {"usr/bin": 0o755, "usr/sbin": 0o755, "sbin": 0o755, "var": 0o755, "var/tmp": 0o1777, "proc": 0o555}
_DIRECTORIES |= {"sys": 0o555, "lib": 0o755, "run": 0o755, "var/www": 0o755, "var/log": 0o755}
_FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
        "www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
    ),
    "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_LINKS = {"usr/bin/env": "../../bin/env"}
_PT_INTERP = 3


def make_tree(tree: str) -> None:
    """Fill the empty directory `tree`.

    Raises:
        Unavailable: no busybox, or one that needs libraries.
    """
    program = next((place for place in _PLACES if os.access(place, os.X_OK)), None)
    remedy = "Install it with: apt-get install busybox-static"
    if program is None:
        raise Unavailable("busybox is not installed on this machine", remedy=remedy)
    with open(program, "rb") as file:
        content = file.read()
    if _needs_libraries(content):
        raise Unavailable(f"{program} is not statically linked, so it cannot run alone in an image", remedy=remedy)
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for path, mode in _DIRECTORIES.items():
        os.mkdir(f"{tree}/{path}")
        os.chmod(f"{tree}/{path}", mode)
    for path, text in _FILES.items():
        with open(f"{tree}/{path}", "w", encoding="ascii") as out:
            out.write(text)
        os.chmod(f"{tree}/{path}", 0o644)
    with open(f"{tree}/bin/busybox", "wb") as binary:
        binary.write(content)
    os.chmod(f"{tree}/bin/busybox", 0o755)
    for applet in applets:
        if applet != "busybox":
            os.symlink("busybox", f"{tree}/bin/{applet}")
    for path, target in _LINKS.items():
        os.symlink(target, f"{tree}/{path}")


def _needs_libraries(content: bytes) -> bool:
    """Whether an ELF file names an interpreter (elf(5)); one that is no ELF is taken for needing some."""
    if content[:4] != b"\x7fELF":
        return True
    is_64 = content[4] == 2
    order = "<" if content[5] == 1 else ">"
    offset = struct.unpack_from(order + ("Q" if is_64 else "I"), content, 32 if is_64 else 28)[0]
    size, count = struct.unpack_from(order + "HH", content, 54 if is_64 else 42)
    return any(struct.unpack_from(order + "I", content, offset + n * size)[0] == _PT_INTERP for n in range(count))
