"""A hostile repository: its Dockerfile, links and archives neither read nor write anything of the host that builds."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

pytestmark = pytest.mark.root

SECRET = "only-the-host-knows-this"


@pytest.fixture
def canary(tmp_path):
    """A directory of the host outside the context, with a secret."""
    directory = tmp_path / "host"
    directory.mkdir()
    (directory / "secret").write_text(SECRET)
    return directory


@pytest.fixture
def context(tmp_path, canary):
    """What the attacker has committed: links of every kind to the host."""
    directory = tmp_path / "context"
    directory.mkdir()
    climb = "../" * 16
    (directory / "plain").write_text("plain")
    os.symlink(canary / "secret", directory / "file")
    os.symlink(canary, directory / "dir")
    os.symlink(f"{climb.rstrip('/')}{canary}", directory / "climbing")
    os.symlink("/proc/self/root", directory / "magic")
    (directory / "below").mkdir()
    os.symlink(canary, directory / "below/dir")
    with tarfile.open(directory / "evil.tar", "w") as tar:
        for name, kind, target in (
            ("../../../../../../climbed", tarfile.REGTYPE, ""),
            (str(canary / "absolute"), tarfile.REGTYPE, ""),
            ("way", tarfile.SYMTYPE, str(canary)),
            ("way/through", tarfile.REGTYPE, ""),
            ("hard", tarfile.LNKTYPE, str(canary / "secret")),
            ("up", tarfile.SYMTYPE, "../" * 16),
            ("up/" + str(canary).lstrip("/") + "/up", tarfile.REGTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"bad") if member.size else None)
    return directory


ATTACKS = {
    "copy a link": "COPY file /stolen",
    "copy a directory that is a link": "COPY dir/ /stolen/",
    "copy through a link": "COPY dir/secret /stolen",
    "copy through a climbing link": "COPY climbing/secret /stolen",
    "copy through procfs": "COPY magic/etc/passwd /stolen",
    "copy above": "COPY ../host/secret /stolen",
    "copy an absolute path": "COPY {canary}/secret /stolen",
    "copy a wildcard through a link": "COPY d*r/s* /stolen/",
    "write through a link of the image": "COPY below/ /a/\nCOPY plain /a/dir/written",
    "write through a link of a step": "RUN ln -s {canary} /way\nCOPY plain /way/written",
    "write through a climbing link": "RUN ln -s ../../../../../../../../{canary} /way\nCOPY plain /way/written",
    "make a directory through a link": "RUN ln -s {canary} /way\nWORKDIR /way/made",
    "read another stage through a link": "RUN ln -s {canary} /way\nFROM busybox\nCOPY --from=0 /way/secret /stolen",
    "read another stage through a root link": "RUN ln -s / /w\nFROM busybox\nCOPY --from=0 /w{canary}/secret /stolen",
    "unpack": "ADD evil.tar /",
    "unpack below": "ADD evil.tar /below/",
    "bind a link": "RUN --mount=type=bind,source=dir,target=/m cat /m/secret > /stolen; echo x > /m/written; true",
    "bind a link to a file": "RUN --mount=type=bind,source=file,target=/m cat /m > /stolen",
    "bind through a link": "RUN --mount=type=bind,source=dir/secret,target=/m cat /m > /stolen",
    "bind a link below": "RUN --mount=type=bind,source=below/dir,target=/m,rw cat /m/secret > /stolen; echo x > /m/new",
    "bind through procfs": "RUN --mount=type=bind,source=magic{canary},target=/m cat /m/secret > /stolen",
    "bind the whole context": "RUN --mount=type=bind,target=/m,rw cat /m/dir/secret > /stolen; echo x > /m/dir/n; true",
    "cache from a link": "RUN ln -s {canary} /way\nFROM busybox\n"
    "RUN --mount=type=cache,from=0,source=/way,target=/m cp /m/secret /stolen; echo x > /m/written; true",
    "bind a climbing path": "RUN --mount=type=bind,source=../../../..{canary},target=/m cp /m/secret /stolen",
    "bind over a link": "RUN ln -s {canary} /way\nRUN --mount=type=tmpfs,target=/way echo x > /way/written",
    "cache through a link": "RUN ln -s {canary} /way\nRUN --mount=type=cache,target=/way/c echo x > /way/c/written",
    "a cache whose name climbs": "RUN --mount=type=cache,id=../../../..{canary},target=/c echo x > /c/written",
    "bind another stage's link": "RUN ln -s {canary} /way\nFROM busybox\n"
    "RUN --mount=type=bind,from=0,source=/way,target=/m cp /m/secret /stolen",
    "users of a link": "RUN rm /etc/passwd; ln -s {canary}/secret /etc/passwd\nUSER only\nRUN id > /stolen",
    "hosts of a link": "COPY below/ /a/\nRUN ln -sf {canary}/secret /etc/hosts2; cat /etc/hosts2 > /stolen; true",
    "descriptors": "RUN ls -l /proc/self/fd /proc/1/fd > /list; for n in 3 4 5 6 7 8; do"
    " cat /proc/self/fd/$n{canary}/secret > /stolen$n; done; true",
    "the null device": "RUN chown 7:7 /proc/self/fd/0; true",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_hostile_dockerfile_neither_reads_nor_writes_the_host(busybox_host, context, canary, attack):
    null = os.stat("/dev/null")
    (context / "Dockerfile").write_text(f"FROM busybox\n{attack.format(canary=canary)}\n")
    built = busybox_host.estiba("build", "-t", "attacked", str(context), check=False)
    assert "Traceback" not in built.stderr
    assert SECRET not in built.stdout + built.stderr
    assert os.listdir(canary) == ["secret"]
    assert (canary / "secret").read_text() == SECRET
    assert not os.path.exists("/climbed")
    assert os.stat("/dev/null")[:6] == null[:6]
    if built.returncode == 0:
        # In the image a link may lead wherever it likes; what it may not hold is the secret itself.
        assert not _holds_the_secret(busybox_host, "attacked")


def test_the_secret_would_be_found_in_a_saved_image(busybox_host, context, canary):
    """The control: what is copied for real is seen by the check above."""
    (context / "plain").write_text(SECRET)
    (context / "Dockerfile").write_text("FROM busybox\nCOPY plain /stolen\n")
    busybox_host.estiba("build", "-t", "attacked", str(context))
    assert _holds_the_secret(busybox_host, "attacked")


def _holds_the_secret(host, image: str) -> bool:
    search = f"find / -xdev -type f | xargs grep -l {SECRET} | head -1"
    return bool(host.estiba("run", "--rm", "--network", "none", "--user", "0", image, "/bin/sh", "-c", search).stdout)


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_an_ignore_file_or_dockerfile_that_is_a_link_shows_nothing_of_the_host(busybox_host, context, canary, name):
    """An error that quotes the line with its caret would print the secret."""
    if name == ".dockerignore":
        (context / "Dockerfile").write_text("FROM busybox\nCOPY plain /\n")
        (canary / "secret").write_text(f"[{SECRET}")
    os.symlink(canary / "secret", context / name)
    built = busybox_host.estiba("build", "-t", "attacked", str(context), check=False)
    assert built.returncode != 0
    assert SECRET not in built.stdout + built.stderr


def test_an_archive_on_standard_input_with_such_a_link_shows_nothing_either(busybox_host, canary, tmp_path):
    """`curl … | estiba build -`: the link in the archive would be followed outside of where it was unpacked."""
    link, pipe = tarfile.TarInfo("Dockerfile"), tarfile.TarInfo("Dockerfile")
    link.type, link.linkname = tarfile.SYMTYPE, str(canary / "secret")
    pipe.type = tarfile.FIFOTYPE  # reading it would never end
    for member, says in ((link, "leads out"), (pipe, "no file")):
        archive = tmp_path / "context.tar"
        with tarfile.open(archive, "w") as tar:
            tar.addfile(member)
        with open(archive, "rb") as stream:
            built = busybox_host.estiba("build", "-", check=False, stdin=stream, timeout=30)
        assert built.returncode != 0
        assert says in built.stderr
        assert SECRET not in built.stdout + built.stderr


def test_a_secret_reaches_no_layer_no_history_and_no_list_of_processes(busybox_host, context, canary):
    script = "grep -q knows /run/secrets/token; cat /proc/*/cmdline | tr '\\0' ' '; cat /proc/mounts | grep secrets"
    (context / "Dockerfile").write_text(f"FROM busybox\nRUN --mount=type=secret,id=token {script}\n")
    flags = ("--secret", f"id=token,src={canary}/secret")
    built = busybox_host.estiba("build", "-t", "kept", *flags, str(context))
    assert SECRET not in built.stdout + built.stderr
    history = busybox_host.estiba("history", "--no-trunc", "kept").stdout
    assert SECRET not in history
    found = []
    for directory, _, files in os.walk(busybox_host.root):
        for name in files:
            with open(os.path.join(directory, name), "rb") as file:
                if SECRET.encode() in file.read():
                    found.append(name)
    assert found == []
