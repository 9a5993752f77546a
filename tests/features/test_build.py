"""A Dockerfile and its context become an image that runs: every instruction, on the real kernel."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.without_root_too


class Bench:
    """A context directory, and an installation with busybox to build it in."""

    def __init__(self, host: Any, context: Path) -> None:
        self.home = host
        self.context = context

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            (self.context / path).parent.mkdir(parents=True, exist_ok=True)
            (self.context / path).write_text(text)

    def build(self, dockerfile: str, *flags: str, check: bool = True) -> Any:
        (self.context / "Dockerfile").write_text(dockerfile)
        return self.home.estiba("build", "-t", "built", *flags, str(self.context), check=check)

    def sh(self, script: str) -> str:
        """What a shell says in a container of the built image."""
        return self.home.estiba(
            "run", "--rm", "--network", "none", "--entrypoint", "sh", "built", "-c", f"{script}; true"
        ).stdout

    def config(self) -> dict[str, Any]:
        return json.loads(self.home.estiba("inspect", "built").stdout)[0]["Config"]


@pytest.fixture
def bench(busybox_host: Any, tmp_path: Path) -> Bench:
    (tmp_path / "context").mkdir()
    return Bench(busybox_host, tmp_path / "context")


def test_every_instruction_leaves_its_mark_in_the_image(bench: Bench) -> None:
    bench.write({"app/main.sh": "#!/bin/sh\necho from $NAME\n"})
    bench.build(
        """\
        ARG BASE=busybox
        FROM $BASE
        LABEL one=1 two="second label"
        ARG VERSION=1.0
        ENV NAME=estiba VERSION=$VERSION
        WORKDIR /srv
        WORKDIR app
        COPY app/ .
        RUN chmod +x main.sh && echo "$VERSION in $PWD as $(id -un)" > note
        USER app
        RUN id -u > /tmp/who
        EXPOSE 8080 53/udp
        VOLUME /data
        STOPSIGNAL SIGINT
        ENTRYPOINT ["./main.sh"]
        CMD ["argument"]
        """
    )
    config = bench.config()
    assert {
        "Labels": {"one": "1", "two": "second label"},
        "WorkingDir": "/srv/app",
        "User": "app",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGINT",
        "Entrypoint": ["./main.sh"],
        "Cmd": ["argument"],
    }.items() <= config.items()
    assert {"NAME=estiba", "VERSION=1.0"} <= set(config["Env"])
    assert bench.sh("cat note /tmp/who") == "1.0 in /srv/app as root\n1000\n"
    assert bench.home.estiba("run", "--rm", "--network", "none", "built").stdout == "from estiba\n"


def test_build_arguments_and_targets_choose_what_is_built(bench: Bench) -> None:
    dockerfile = """\
    FROM busybox AS first
    ARG WHO=nobody
    RUN echo $WHO > /who
    FROM busybox AS never
    RUN false
    FROM first AS last
    RUN echo last >> /who
    """
    bench.build(dockerfile, "--build-arg", "WHO=someone")
    assert bench.sh("cat /who") == "someone\nlast\n"
    bench.build(dockerfile, "--target", "first")
    assert bench.sh("cat /who") == "nobody\n"


def test_scratch_and_a_copy_between_stages_make_a_minimal_image(bench: Bench) -> None:
    bench.build(
        """\
        FROM busybox AS made
        RUN mkdir -p /out/bin && cp /bin/busybox /out/bin/sh && echo deep > /out/file && chown -R 1000:1000 /out/file
        FROM scratch
        COPY --from=made /out/ /
        CMD ["/bin/sh", "-c", "echo minimal"]
        """
    )
    assert bench.home.estiba("run", "--rm", "--network", "none", "built").stdout == "minimal\n"
    assert len(json.loads(bench.home.estiba("inspect", "built").stdout)[0]["RootFS"]["Layers"]) == 1


def test_copy_follows_the_rules_for_destinations(bench: Bench) -> None:
    bench.write({"a": "A", "b": "B", "dir/x": "X", "dir/sub/y": "Y", "odd name \u00e9": "O"})
    bench.build(
        """\
        FROM busybox
        COPY a /file
        COPY a /into/
        COPY a b /many/
        COPY dir /contents
        COPY dir/s* /matched/
        COPY ["odd name \u00e9", "/odd/"]
        COPY --chown=app:audio --chmod=640 a /owned
        RUN mkdir /real && ln -s real /link
        COPY a /link/
        COPY a /bin/
        """
    )
    said = bench.sh(
        "cat /file /into/a /many/a /many/b /contents/x /contents/sub/y /matched/y '/odd/odd name \u00e9' /real/a"
        " /bin/a; echo; stat -c '%U:%G %a' /owned /file; readlink /link"
    )
    assert said == "AAABXYYOAA\napp:audio 640\nroot:root 644\nreal\n"


def test_what_dockerignore_hides_is_not_copied(bench: Bench) -> None:
    bench.write(
        {".dockerignore": "secret\n**/*.log\n!keep.log\n", "secret": "s", "a.log": "l", "keep.log": "k", "x/y.log": ""}
    )
    bench.build("FROM busybox\nCOPY . /all\n")
    assert bench.sh("cd /all && find . | sort") == ".\n./.dockerignore\n./Dockerfile\n./keep.log\n./x\n"
    failed = bench.build("FROM busybox\nCOPY secret /\n", check=False)
    assert failed.returncode == 1
    assert "Line 1 of .dockerignore ('secret') leaves it out." in failed.stderr


def test_add_extracts_local_archives(bench: Bench, tmp_path: Path) -> None:
    bench.write({"inner/file": "from an archive"})
    with tarfile.open(bench.context / "archive.tar.gz", "w:gz") as archive:
        archive.add(bench.context / "inner", "inner")
    bench.build("FROM busybox\nADD archive.tar.gz /there/\nCOPY archive.tar.gz /kept/\n")
    assert bench.sh("cat /there/inner/file; ls /kept") == "from an archivearchive.tar.gz\n"


def test_an_archive_cannot_write_outside_the_image(bench: Bench, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    with tarfile.open(bench.context / "evil.tar", "w") as archive:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        for name in ("out/victim", f"../../../../../..{victim}"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
    bench.build("FROM busybox\nRUN mkdir -p /there\nADD evil.tar /there/\n", check=False)
    assert not victim.exists()


def test_here_documents_are_scripts_and_files(bench: Bench) -> None:
    bench.build(
        "FROM busybox\n"
        "RUN <<EOF\nset -e\necho one > /a\necho two >> /a\nEOF\n"
        "COPY <<one.txt <<two.txt /files/\nfirst\none.txt\nsecond\ntwo.txt\n"
    )
    assert bench.sh("cat /a /files/one.txt /files/two.txt") == "one\ntwo\nfirst\nsecond\n"


def test_a_secret_is_seen_by_its_step_and_is_nowhere_afterwards(bench: Bench, tmp_path: Path) -> None:
    canary = "canary-4b7e1f"
    (tmp_path / "secret").write_text(canary)
    done = bench.build(
        """\
        FROM busybox
        RUN --mount=type=secret,id=key,target=/key,required=true wc -c < /key > /size
        RUN --mount=type=secret,id=absent,target=/etc/none ls /etc > /listing
        """,
        "--secret",
        f"id=key,src={tmp_path}/secret",
    )
    assert (
        bench.sh("cat /size; ls /key 2>&1; grep -c none /listing")
        == f"{len(canary)}\nls: /key: No such file or directory\n0\n"
    )
    assert canary not in done.stdout + done.stderr
    found = [
        os.path.join(directory, name)
        for top in (bench.home.root, bench.home.run_directory)
        for directory, _, names in os.walk(top)
        for name in names
        if canary.encode() in _content(os.path.join(directory, name))
    ]
    assert found == []


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_a_required_secret_that_is_missing_is_named(bench: Bench) -> None:
    failed = bench.build("FROM busybox\nRUN --mount=type=secret,id=key,required=true true\n", check=False)
    assert "the secret 'key' is required and was not given" in failed.stderr


def test_mounts_show_stages_the_context_caches_and_memory(bench: Bench) -> None:
    bench.write({"src/input": "from the context", ".dockerignore": "src/hidden", "src/hidden": "h"})
    dockerfile = """\
    FROM busybox AS other
    RUN echo from a stage > /made
    FROM busybox
    RUN --mount=type=bind,source=src,target=/in cat /in/input > /a; ls /in >> /a
    RUN --mount=type=bind,from=other,source=/made,target=/made cat /made > /b
    RUN --mount=type=tmpfs,target=/mem echo x > /mem/x
    RUN --mount=type=cache,target=/cache,id=c echo again >> /cache/count; wc -l < /cache/count > /c
    """
    bench.build(dockerfile)
    assert bench.sh("cat /a /b /c; ls /mem /in 2>&1") == (
        "from the contextinput\nfrom a stage\n1\n"
        "ls: /mem: No such file or directory\nls: /in: No such file or directory\n"
    )
    bench.build(dockerfile, "--no-cache")
    assert bench.sh("cat /c") == "2\n"


def test_a_step_that_changes_nothing_leaves_an_empty_layer(bench: Bench) -> None:
    """Places for mounts (/etc/hosts and others) are not left behind in a base that lacks them."""
    bench.build("FROM busybox AS tools\nFROM scratch\nCOPY --from=tools /bin /bin\nRUN true\n")
    saved = bench.home.estiba("save", "built", text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        with tarfile.open(fileobj=archive.extractfile(manifest["Layers"][-1])) as layer:
            assert layer.getnames() == []


def test_a_build_without_network_has_none(bench: Bench) -> None:
    bench.build(
        "FROM busybox\n"
        "RUN --network=none ip link | grep -c '^[0-9]' > /links\n"
        "RUN ip link | grep -c '^[0-9]' >> /links\n"
    )
    assert bench.sh("cat /links") == "1\n2\n"
