"""The same Dockerfiles in BuildKit, that of Debian's dockerd, and in Estiba: the same files, the same configuration.

What BuildKit 0.8 does not know (forms of Dockerfile 1.3 and later) is not here, nor what Estiba does otherwise with a
reason: hard links of a context are files of their own, mount points of a RUN do not stay, and the group of a user is
among the supplementary ones of a RUN (CVE-2023-25173).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_daemons import dockerd
from estiba.networks.networks import Networks
from estiba.store.store import Store
from images import busybox_image

pytestmark = [pytest.mark.root("dockerd needs it"), pytest.mark.slow, pytest.mark.long]

CLIENT = "/usr/bin/docker"
"""Debian's: a newer one has no BuildKit without a plugin."""

IGNORE = "node_modules\n**/*.log\n!logs/keep.log\n*.md\n!README.md\ndocs/*\n!docs/b*\n"
FILES = (
    "a.txt b.txt dir/one dir/sub/two dir/sub/deep/three.go dir/.hidden sp_ace/f x[1].txt node_modules/m/i.js"
    " logs/a.log logs/keep.log README.md docs/a.md docs/b.txt"
)

CASES = {
    "wildcards": "COPY *.txt /w/\nCOPY d* /d/\nCOPY ?.txt /q/\nCOPY [ab].txt /b/\nCOPY x[[]1].txt /c/\n",
    "wildcards in the middle": "COPY dir/s*/two /o/\n",
    "a wildcard of nothing": "COPY a.txt nothing* /x/\nCOPY nothing* /y/\nCOPY a.tx* /z\n",
    "contents of directories": "COPY dir /d1\nCOPY dir/ /d2/\nCOPY dir /etc/\nCOPY dir/one /\nCOPY dir /\n",
    "all": "COPY . /all/\nWORKDIR /w\nCOPY . .\n",
    "what is ignored": "COPY docs /d/\nCOPY logs /l/\n",
    "into and as": "COPY a.txt /x/\nCOPY a.txt /y\nCOPY a.txt /etc\nCOPY a.txt b.txt /z/\nCOPY a.txt /p/q/r/\n",
    "into a directory without a slash": "RUN mkdir /x\nCOPY a.txt b.txt /x\nCOPY *.txt /etc\nCOPY dir docs /y\n",
    "links that are named": "COPY link /l/\nCOPY link /l2\nCOPY dlink /dl\nCOPY dlink/ /dl2/\n",
    "dots": "COPY dir/sub/.. /up\nCOPY ./dir/../a.txt /\nCOPY ../b.txt /b/\n",
    "owners": "ARG U=1000\nCOPY --chown=$U:5 dir /d\nCOPY --chown=app a.txt /n/\nCOPY --chown=7 a.txt /m/\n",
    "modes": "COPY --chmod=755 a.txt /c/\nCOPY --chmod=700 dir /d\nCOPY suid /s/\n",
    "lists": 'COPY ["sp_ace", "/d/"]\nCOPY ["a.txt", "/sp ace/"]\n',
    "archives": "ADD t.tar.gz /x/\nADD a.txt /x/\nADD t.tar.gz b.txt /y/\nCOPY t.tar.gz /z/\n",
    "onto what is there": "RUN mkdir -p /d && echo o > /d/one && chmod 700 /d\nCOPY dir /d\n",
    "onto links": "RUN mkdir /real && ln -s /real /ln && ln -s /f /fl\nCOPY dir /ln\nCOPY a.txt /ln/\nCOPY a.txt /fl\n",
    "relative": "WORKDIR /w\nCOPY a.txt b.txt ./\nCOPY dir sub/\nCOPY dir/one ../up\n",
    "directories": "WORKDIR a\nWORKDIR b\nWORKDIR ../c\nRUN pwd > /p\nUSER app\nWORKDIR /home/app/w\nRUN id -un > u\n",
    "users": "USER 1000\nRUN id -u > /tmp/u; id -g >> /tmp/u\nUSER 1234:5678\nRUN id -u > /tmp/v; echo $HOME > /tmp/h",
    "volumes": "RUN mkdir /v && echo 1 > /v/a\nVOLUME /v\nRUN echo 2 > /v/b\nCOPY a.txt /v/\n",
    "variables": "ENV A=1 B=\"two words\" C=$A D=${A:-x}\nENV E=$A$B F='$A' G=\\$A\nENV old style value\n",
    "where variables count": "ENV X=a.txt Y=/d\nCOPY $X ${Y}/\nADD ${X} $Y$Y/\nVOLUME $Y\nUSER ${U:-app}\nWORKDIR $Y\n",
    "arguments": 'ARG A=1\nARG B\nARG C=${A}x\nRUN echo "$A-$B-$C" > /r\nENV A=$A\nLABEL l=$B$C\nARG A=2\nLABEL m=$A\n',
    "configuration": 'EXPOSE 80 53/udp 8000-8002\nLABEL a=1 "b c"="d e" f=\'g h\'\nSTOPSIGNAL 9\nONBUILD RUN $X\n',
    "commands": 'CMD ["a"]\nENTRYPOINT ["e"]\nCMD echo $HOME\nSHELL ["/bin/sh","-ec"]\nRUN false || pwd > /r\nCMD x\n',
    "an entrypoint clears": 'ENTRYPOINT ["e"]\n',
    "health": "HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --retries=2 CMD curl -f http://l/ || exit 1\n",
    "no health": "HEALTHCHECK NONE\n",
    "continuations": "RUN echo a \\\n# comment\n   b \\\n\n c > /r\nRUN\techo\ta\t>\t/t\r\n",
    "forms": 'RUN ["sh","-c","echo $HOME > /r"]\nRUN [ "$HOME" = x ] || pwd > /s\nRUN echo "a  b" \'c $X\' > /q\n',
    "stages": "RUN mkdir -p /o/p && echo 1 > /o/p/q && ln -s p /o/l && chown -R 7:8 /o\nFROM busybox\n"
    "COPY --from=0 /o /a\nCOPY --from=0 --chown=5:6 /o/ /b/\nCOPY --from=0 /o/l /c\nCOPY --from=busybox /etc/g* /p/\n",
    "mounts": "RUN --mount=target=/var/www,rw cat /var/www/a.txt > /r && touch /var/www/x\n"
    "RUN --mount=type=tmpfs,target=/tmp touch /tmp/x\n",
    "what is not there": "COPY nothing /\n",
    "what is ignored and named": "COPY docs/a.md /\n",
}


Made = dict[str, object]


class Builders:
    """BuildKit and Estiba with one context."""

    def __init__(self, address: str, estiba: list[str], directory: Path) -> None:
        self._docker = [CLIENT, "-H", address]
        self._estiba = estiba
        self._directory = directory

    def results(self, dockerfile: str) -> tuple[Made | None, Made | None]:
        """The files and the configuration that each makes, BuildKit first; None for a failure."""
        (self._directory / "Dockerfile").write_bytes(f"FROM busybox\n{dockerfile}".encode())
        return self._of(self._docker, ["inspect"]), self._of(self._estiba, ["image", "inspect"])

    def _of(self, command: list[str], inspect: list[str]) -> Made | None:
        tar = self._directory / "result.tar"
        words = ["build", "-q", "-f", f"{self._directory}/Dockerfile"]
        built = self._run(command, *words, "-t", "compared", f"{self._directory}/context")
        if built.returncode:
            return None
        exported = self._run(command, *words, "-o", f"type=tar,dest={tar}", f"{self._directory}/context")
        assert exported.returncode == 0, exported.stderr
        document = json.loads(self._run(command, *inspect, "compared").stdout)[0]
        return {**listing(tar), **configuration(document["Config"])}

    @staticmethod
    def _run(command: list[str], *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"DOCKER_BUILDKIT": "1"}
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=60, check=False, env=environment
        )


def listing(path: Path) -> Made:
    """What a tar holds, without times."""
    found: Made = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            digest = hashlib.sha256(content.read()).hexdigest() if content else ""
            name = member.name.removeprefix("./").strip("/")
            found[name] = (member.type, oct(member.mode), member.uid, member.gid, member.linkname, digest)
    return found


def configuration(fields: dict[str, object]) -> Made:
    """What a Dockerfile decides of it."""
    names = "User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal Shell Healthcheck OnBuild"
    return {name: fields.get(name) or ("/" if name == "WorkingDir" else None) for name in names.split()}


@pytest.fixture(scope="module")
def builders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builders]:
    """Both with the image of busybox; skips where there is no BuildKit."""
    if not os.access(CLIENT, os.X_OK):
        pytest.skip(f"there is no {CLIENT}")
    directory = tmp_path_factory.mktemp("builders")
    _make_context(directory / "context")
    program = os.path.join(os.path.dirname(sys.executable), "estiba")
    estiba = [program, "--root", f"{directory}/root", "--run", f"{directory}/run"]
    with Store.open(f"{directory}/root") as store:
        busybox_image(store)
    subprocess.run([*estiba, "save", "-o", f"{directory}/busybox.tar", "busybox"], check=True, timeout=60)
    with dockerd() as docker:
        docker("load", "-i", f"{directory}/busybox.tar", check=True)
        yield Builders(docker.address, estiba, directory)
    Networks(root=f"{directory}/root", run=f"{directory}/run").teardown()


def _make_context(context: Path) -> None:
    for name in FILES.split():
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (context / "suid").write_text("s")
    (context / "suid").chmod(0o4755)
    (context / "dir" / "sub" / "two").chmod(0o755)
    (context / "link").symlink_to("a.txt")
    (context / "dlink").symlink_to("dir")
    (context / "dir" / "inner").symlink_to("sub/two")
    (context / ".dockerignore").write_text(IGNORE)
    with tarfile.open(context / "t.tar.gz", "w:gz") as archive:
        archive.add(context / "dir", arcname="in/dir")


@pytest.mark.parametrize("case", CASES)
def test_a_dockerfile_makes_the_same_image(builders: Builders, case: str) -> None:
    """Every file with its mode, owner and content, and the configuration; or both fail."""
    theirs, ours = builders.results(CASES[case])
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        assert {name: ours.get(name) for name in names} == {name: theirs.get(name) for name in names}
