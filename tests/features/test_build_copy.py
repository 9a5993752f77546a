"""What COPY and ADD carry, what they merge and what they refuse: BuildKit's rules on the real kernel."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.root


class Bench:
    """A context directory, and an installation with busybox to build it in."""

    def __init__(self, home: Any, context: Path) -> None:
        self.home = home
        self.context = context
        with Store.open(home.root) as store:
            busybox_image(store)

    def write(self, **files: str) -> None:
        for path, text in files.items():
            self.add(path.replace("__", "/"), text)

    def add(self, path: str, text: str) -> Path:
        place = self.context / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def build(self, dockerfile: str, *flags: str, check: bool = True) -> Any:
        (self.context / "Dockerfile").write_text(dockerfile)
        return self.home.estiba("build", "-t", "built", *flags, str(self.context), check=check)

    def sh(self, script: str) -> str:
        """What a shell says in a container of the built image."""
        return self.home.estiba("run", "--rm", "--network", "none", "built", "sh", "-c", f"{script}; true").stdout


@pytest.fixture
def bench(estiba_home: Any, tmp_path: Path) -> Bench:
    (tmp_path / "context").mkdir()
    return Bench(estiba_home, tmp_path / "context")


def test_between_stages_hard_links_owners_bits_and_attributes_are_kept(bench: Bench) -> None:
    bench.build(
        """\
        FROM busybox AS made
        RUN mkdir -p /out/dir && cd /out && echo x > a && ln a b && ln a dir/c && chown -R 1000:29 . \
         && cp /bin/busybox suid && chmod 4755 suid && chmod 1777 dir
        FROM busybox
        COPY --from=made /out /copied
        """
    )
    said = bench.sh("cd /copied; stat -c '%n %a %U:%G %h' a b dir dir/c suid; [ a -ef dir/c ] && echo linked")
    assert said == (
        "a 644 app:audio 3\nb 644 app:audio 3\ndir 1777 app:audio 2\ndir/c 644 app:audio 3\n"
        "suid 4755 root:root 1\nlinked\n"
    )


def test_extended_attributes_travel_between_stages(bench: Bench, tmp_path: Path) -> None:
    """A capability on a file is what lets a program bind a low port; without it the image is broken."""
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    with Store.open(bench.home.root) as store:
        busybox_image(store, "capable", files={"/tool/ping": "p", "/tool/plain": "q"})
        record = store.images.find("capable")
        tree = store.snapshots.change(store.images.content(record.id).chain_ids[-1]).tree
        os.setxattr(f"{tree}/tool/ping", "security.capability", capability)
        os.setxattr(f"{tree}/tool", "user.note", b"kept")
    bench.build("FROM busybox\nCOPY --from=capable /tool /bin/tool\nCOPY --from=capable /tool/ping /ping\n")
    with Store.open(bench.home.root) as store:
        chains = store.images.content(store.images.find("built").id).chain_ids
        first, second = (store.snapshots.change(chain).tree for chain in chains[-2:])
        assert os.getxattr(f"{first}/bin/tool/ping", "security.capability") == capability
        assert os.getxattr(f"{second}/ping", "security.capability") == capability
        assert os.listxattr(f"{first}/bin/tool/plain") == []


def test_a_directory_is_merged_and_what_comes_wins(bench: Bench) -> None:
    bench.write(tree__srv__new="n", tree__srv__both="new")
    (bench.context / "tree" / "srv").chmod(0o750)
    bench.build(
        """\
        FROM busybox
        RUN mkdir -p /srv && echo old > /srv/old && echo old > /srv/both && chmod 711 / /srv && chown app /srv
        COPY tree/ /
        """
    )
    assert bench.sh("cat /srv/*; stat -c '%a %U' / /srv") == "newnold\n711 root\n750 root\n"


def test_files_and_directories_do_not_take_each_others_place(bench: Bench) -> None:
    bench.write(a="a", dir__x="x", tree__bin__sh__deep="d")
    for line, reason in (
        ("COPY a /etc/", ""),
        ("COPY a /bin", ""),
        ("COPY dir /etc/passwd", "/etc/passwd is not a directory"),
        ("COPY tree/ /", "there is a file of that name"),
        ("COPY dir/x /etc/passwd/x", "/etc/passwd is not a directory"),
    ):
        done = bench.build(f"FROM busybox\n{line}\n", check=False)
        assert done.returncode == (1 if reason else 0), done.stderr
        assert reason in done.stderr
        if reason:
            assert f"Dockerfile:2:\n  2 | {line}\n    | ^^^^" in done.stderr


def test_a_link_at_the_destination_is_followed_inside_the_image(bench: Bench) -> None:
    bench.write(a="new", dir__x="x")
    bench.build(
        """\
        FROM busybox
        RUN mkdir /real && echo old > /real/file && ln -s real/file /link && ln -s /real /dirlink \
         && ln -s ../made/there /real/dangling
        COPY a /link
        COPY dir /dirlink
        COPY a /real/dangling
        """
    )
    assert (
        bench.sh("readlink /link; readlink /dirlink; cat /real/file /real/x /made/there") == "real/file\n/real\nnewxnew"
    )


def test_chmod_is_octal_or_symbolic_and_reaches_directories(bench: Bench) -> None:
    bench.write(d__sub__f="f")
    (bench.context / "d" / "sub" / "f").chmod(0o600)
    bench.build("FROM busybox\nCOPY --chmod=u=rwX,go=rX d /one\nCOPY --chmod=4711 --chown=1000:29 d/sub/f /two\n")
    assert bench.sh("stat -c '%a %u:%g' /one/sub /one/sub/f /two") == "755 0:0\n644 0:0\n4711 1000:29\n"


def test_parents_are_kept_from_the_pivot_on(bench: Bench) -> None:
    bench.write(x__y__a__c="", x__y__b__c="", x__z__c="", top__package="1", deep__er__package="2")
    (bench.context / "x" / "y").chmod(0o750)
    bench.build(
        """\
        FROM busybox
        COPY --parents x/y/a/c x/z/ /whole/
        COPY --parents ./x/./y/*/c /part/
        COPY --parents **/package /all/
        """
    )
    said = bench.sh("find /whole /part /all -type f | sort; stat -c %a /part/y /whole/x/y")
    assert said.split() == [
        "/all/deep/er/package",
        "/all/top/package",
        "/part/y/a/c",
        "/part/y/b/c",
        "/whole/x/y/a/c",
        "/whole/x/z/c",
        "750",
        "750",
    ]


def test_several_directories_become_one_and_several_files_do_not(bench: Bench) -> None:
    bench.write(d1__a="a", d2__b="b", f1="", f2="")
    bench.build("FROM busybox\nCOPY d* /one\n")
    assert bench.sh("cd /one; ls") == "a\nb\n"
    failed = bench.build("FROM busybox\nCOPY f* /one\n", check=False)
    assert "2 sources cannot become the one file /one" in failed.stderr


def test_a_wildcard_may_match_nothing_and_a_name_may_not(bench: Bench) -> None:
    """As in ``COPY package.json package-lock.json* ./``, which most projects for Node have; it is told, though."""
    bench.write(package__json="{}", f1="", f2="")
    told = bench.build("FROM busybox\nCOPY package/json lock* ./app/\nCOPY none*/* /empty/\n").stderr
    assert "'lock*' matches nothing in the build context\n" in told
    assert bench.sh("ls -d /app/* /empty") == "/app/json\n"
    told = bench.build("FROM busybox AS a\nFROM busybox\nCOPY --from=a /etc/passwd /etc/none* /p/\n").stderr
    assert "'etc/none*' matches nothing in image busybox:latest\n" in told
    assert bench.sh("ls /p") == "passwd\n"
    assert bench.build("FROM busybox\nCOPY f1 f3 /x/\n", check=False).returncode == 1


def test_several_files_go_into_a_directory_that_is_there_without_a_slash(bench: Bench) -> None:
    """The slash is needed where there is none yet: else the last file would be all that is left."""
    bench.write(f1="1", f2="2")
    bench.build("FROM busybox\nRUN mkdir /there\nCOPY f1 f2 /there\n")
    assert bench.sh("cat /there/f1 /there/f2") == "12"
    failed = bench.build("FROM busybox\nCOPY f1 f2 /new\n", check=False)
    assert "2 sources cannot become the one file /new\n  End the destination in a slash: /new/\n" in failed.stderr


def test_exclude_leaves_files_out(bench: Bench) -> None:
    bench.write(src__a="", src__b__txt="", home__one="", homework="", home__two__txt="")
    bench.add("src/x.txt", "")
    bench.add("home.txt", "")
    bench.build("FROM busybox\nCOPY --exclude=*.txt --exclude=b src /src\nCOPY --exclude=*.txt hom* /home/\n")
    assert bench.sh("cd /src; ls; ls -d /home/homework /home/home.txt 2>/dev/null") == "a\n/home/homework\n"


def test_odd_names_holes_and_special_files_arrive(bench: Bench) -> None:
    raw = os.fsencode(bench.context)
    for name in (b"new\nline", b"latin-\xe9", b"quote'\"", b" blank ", b"-dash", b"back\\slash"):
        with open(raw + b"/" + name, "wb") as file:
            file.write(name)
    os.mkfifo(bench.context / "pipe")
    with open(bench.context / "sparse", "wb") as sparse:
        sparse.truncate(64 << 20)
        sparse.seek(32 << 20)
        sparse.write(b"data")
    bench.build("FROM busybox\nCOPY . /all/\n")
    said = bench.sh(
        "cd /all; cat lat* | od -An -tx1; cat new* quote* ' blank ' ./-dash back*; [ -p pipe ] && echo pipe"
    )
    assert said == " 6c 61 74 69 6e 2d e9\nnew\nlinequote'\" blank -dashback\\slashpipe\n"
    assert (
        bench.sh("cd /all; stat -c %s sparse; [ $(stat -c %b sparse) -lt 1000 ] && echo holes") == "67108864\nholes\n"
    )


def test_a_file_that_cannot_be_read_is_named(bench: Bench) -> None:
    failed = bench.build("FROM busybox\nCOPY missing.txt /\n", check=False)
    assert "'missing.txt' is not in the build context" in failed.stderr
    bench.add("mising.txt", "")
    failed = bench.build("FROM busybox\nCOPY missing.txt /\n", check=False)
    assert "Did you mean 'mising.txt'?" in failed.stderr


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_archives_are_extracted_by_their_content(bench: Bench, compression: str) -> None:
    bench.add("in/file", "content")
    os.link(bench.context / "in/file", bench.context / "in/hard")
    os.symlink("file", bench.context / "in/soft")
    with tarfile.open(bench.context / "archive", f"w:{compression}") as archive:
        archive.add(bench.context / "in", "in")
    bench.build("FROM busybox\nADD archive /there\nADD --unpack=false archive /kept\nADD --chown=app archive /owned/\n")
    said = bench.sh(
        "cd /there/in; cat soft hard; [ file -ef hard ] && echo linked; stat -c %U /owned/in/file; ls -d /kept"
    )
    assert said == "contentcontentlinked\napp\n/kept\n"


def test_an_archive_stays_below_its_destination(bench: Bench) -> None:
    import io

    with tarfile.open(bench.context / "evil.tar", "w") as archive:
        for name in ("../etc/passwd", "/etc/passwd", "a/../../etc/passwd"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
    bench.build("FROM busybox\nADD evil.tar /there/\n")
    assert bench.sh("grep -c evil /etc/passwd; cat /there/etc/passwd") == "0\nevil"


def test_a_damaged_archive_is_told_and_leaves_nothing(bench: Bench) -> None:
    import gzip

    with tarfile.open(bench.context / "a.tar", "w") as archive:
        archive.add("/usr/bin/busybox", "busybox")
    packed = bytearray(gzip.compress((bench.context / "a.tar").read_bytes()))
    packed[len(packed) // 2 :] = b"\xff" * 1000
    (bench.context / "a.tar.gz").write_bytes(packed)
    failed = bench.build("FROM busybox\nADD a.tar.gz /there/\n", check=False)
    assert "the archive for /there/ is damaged" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_mount_of_a_stage_whose_names_hold_colons_shows_nothing_of_the_host(bench: Bench, tmp_path: Path) -> None:
    """An overlay's lower directories are separated by colons: a directory in the image must not name another."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "secret").write_text("of the host")
    bench.build(
        f"FROM busybox AS evil\nRUN mkdir -p '/x:{tmp_path}/host'\n"
        f"FROM busybox\nRUN --mount=type=bind,from=evil,source=/x:{tmp_path}/host,target=/m,rw ls /m > /seen\n"
    )
    assert bench.sh("cat /seen") == ""
