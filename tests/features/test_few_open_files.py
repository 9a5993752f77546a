"""However few files a command may have open, it does its work or says what it lacks, and the store is sound."""

from __future__ import annotations

import resource
import subprocess

import pytest

import archives
import audits

pytestmark = [pytest.mark.root, pytest.mark.slow]

LAYERS = (archives.tar({"etc/": b"", "etc/name": b"low"}), archives.tar({"b": b"high"}))
# With fewer the interpreter cannot read its own modules to tell of it; with more everything works.
LIMITS = range(8, 40)


@pytest.mark.parametrize("name", ["load", "build"])
def test_a_command_without_files_left(make_estiba_home, tmp_path, name):
    (tmp_path / "in.tar").write_bytes(archives.docker_archive(LAYERS))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    (tmp_path / "a").write_text("a")
    words = {"load": ["load", "-i", str(tmp_path / "in.tar")], "build": ["build", "-q", "-t", "a", str(tmp_path)]}[name]
    for limit in LIMITS:
        home = make_estiba_home()
        done = subprocess.run(
            [*home.command, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        )
        if done.returncode:
            assert "open files" in done.stderr, (limit, done.stderr)
            assert "Traceback" not in done.stderr, (limit, done.stderr)
        audits.assert_sound(home.root, kept=audits.contents(home.root))
        if done.returncode == 0:
            return
    pytest.fail("it never worked")
