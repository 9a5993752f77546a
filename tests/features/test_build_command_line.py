"""What a user of `docker build` expects of the command line: inputs, outputs, files, names, messages."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.root

DOCKERFILE = "FROM busybox\nCOPY file /dir/file\nRUN ln /dir/file /dir/hard && ln -s file /dir/soft && rm -r /var/www\n"


@pytest.fixture
def home(estiba_home: Any) -> Any:
    with Store.open(estiba_home.root) as store:
        busybox_image(store)
    return estiba_home


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "file").write_text("content")
    return directory


def test_several_names_and_the_id_in_a_file(home: Any, context: Path, tmp_path: Path) -> None:
    said = home.estiba("build", "-t", "one", "-t", "example.org/two:2", "--iidfile", f"{tmp_path}/id", str(context))
    image = (tmp_path / "id").read_text()
    assert f"image {image}\nnamed one:latest\nnamed example.org/two:2\n" in said.stderr
    assert home.estiba("images", "-q", "--no-trunc", "one").stdout.strip() == image
    assert sorted(os.listdir(tmp_path)) == ["context", "id"]


def test_after_a_failure_there_is_no_id_and_no_name(home: Any, context: Path, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("an old one")
    (context / "Dockerfile").write_text("FROM busybox\nRUN false\n")
    failed = home.estiba("build", "-t", "one", "--iidfile", f"{tmp_path}/id", str(context), check=False)
    assert failed.returncode == 1
    assert not (tmp_path / "id").exists()
    assert home.estiba("images", "-q", "one").stdout == ""


def test_the_metadata_file_names_what_was_built(home: Any, context: Path, tmp_path: Path) -> None:
    image = home.estiba("build", "-q", "-t", "one", "--metadata-file", f"{tmp_path}/m", str(context)).stdout.strip()
    assert json.loads((tmp_path / "m").read_text()) == {
        "containerimage.config.digest": image,
        "image.name": "docker.io/library/one:latest",
    }


def test_the_files_go_to_a_directory(home: Any, context: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "dir").mkdir(parents=True)
    (tmp_path / "out" / "dir" / "mine").write_text("kept")
    home.estiba("build", "-o", f"{tmp_path}/out", str(context))
    out = tmp_path / "out"
    assert (out / "dir" / "file").read_text() == "content"
    assert (out / "dir" / "hard").samefile(out / "dir" / "file")
    assert os.readlink(out / "dir" / "soft") == "file"
    assert (out / "dir" / "mine").read_text() == "kept"
    assert not (out / "var" / "www").exists()


@pytest.mark.parametrize("where", ["file", "standard output"])
def test_the_files_go_to_a_tar(home: Any, context: Path, tmp_path: Path, where: str) -> None:
    if where == "file":
        home.estiba("build", "-o", f"type=tar,dest={tmp_path}/out.tar", str(context))
        data = (tmp_path / "out.tar").read_bytes()
    else:
        data = home.estiba("build", "-q", "-o", "-", str(context), text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
        content = archive.extractfile("dir/file")
        assert content is not None
        assert content.read() == b"content"
    assert "bin/busybox" in names
    assert not [name for name in names if ".wh." in name or name.startswith("var/www")]


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
def test_a_tar_on_standard_input_is_the_context(home: Any, context: Path, compression: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{compression}") as archive:
        archive.add(context, ".")
    done = subprocess.run(
        [*home.command, "build", "-q", "-"], input=packed.getvalue(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == home.estiba("build", "-q", str(context)).stdout
    assert os.listdir(f"{home.root}/tmp") == []


def test_a_dockerfile_on_standard_input_has_no_files(home: Any, context: Path) -> None:
    done = home.estiba("build", "-q", "-", stdin=None, input="FROM busybox\nRUN true\n")
    assert done.stdout.startswith("sha256:")
    failed = home.estiba("build", "-", stdin=None, input="FROM busybox\nCOPY file /\n", check=False)
    assert "'file' is not in the build context" in failed.stderr
    beside = home.estiba("build", "-q", "-f", "-", str(context), stdin=None, input=DOCKERFILE)
    assert beside.stdout == home.estiba("build", "-q", str(context)).stdout


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (["--cache-to=type=inline"], "--cache-to"),
        (["--ssh", "default"], "--ssh"),
        (["--provenance", "mode=max"], "--provenance"),
        (["--progress=rawjson"], "--progress rawjson"),
        (["--network", "mine"], "--network mine"),
        (["--platform", "linux/amd64,linux/arm64"], "several platforms"),
        (["-o", "type=oci,dest=x,compression=zstd"], "compression="),
    ],
)
def test_what_docker_has_and_estiba_not_yet_is_named(home: Any, context: Path, flags: list[str], name: str) -> None:
    failed = home.estiba("build", *flags, str(context), check=False)
    assert failed.returncode == 1
    assert name in failed.stderr
    assert "not there yet" in failed.stderr


def test_what_makes_no_difference_is_accepted(home: Any, context: Path) -> None:
    plain = home.estiba("build", "-q", str(context)).stdout
    flags = ("--rm", "--force-rm", "--load", "--provenance=false", "--sbom", "false")
    assert home.estiba("build", "-q", *flags, str(context)).stdout == plain


def test_warnings_name_file_line_and_rule(home: Any, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nMAINTAINER me\nCMD echo hi\n")
    said = home.estiba("build", "--build-arg", "UNUSED=1", str(context)).stderr
    assert f"warning: {context}/Dockerfile:2: MaintainerDeprecated: MAINTAINER is deprecated" in said
    assert f"warning: {context}/Dockerfile:3: JSONArgsRecommended: " in said
    assert f"warning: {context}/Dockerfile: the build argument UNUSED is used by no ARG" in said


def test_a_missing_program_and_an_unknown_user_are_told(home: Any, context: Path) -> None:
    for line, said in (
        ('RUN ["/no/such", "x"]', "ended with exit code 127"),
        ("RUN nosuch", "ended with exit code 127"),
        ('RUN ["/etc/passwd"]', "ended with exit code 126"),
        ("USER stranger\nRUN true", "user 'stranger' is not in /etc/passwd of the image"),
        ("COPY --chown=stranger file /", "user 'stranger' is not in /etc/passwd of the image"),
    ):
        (context / "Dockerfile").write_text(f"FROM busybox\n{line}\n")
        failed = home.estiba("build", str(context), check=False)
        assert failed.returncode == 1
        assert said in failed.stderr
        assert "Traceback" not in failed.stderr


def test_the_network_of_the_host_must_be_allowed(home: Any, context: Path) -> None:
    """A Dockerfile from a repository must not reach what listens on this machine by asking for it."""
    (context / "Dockerfile").write_text("FROM busybox\nRUN --network=host true\n")
    failed = home.estiba("build", str(context), check=False)
    assert failed.returncode == 1
    assert "this build does not allow it" in failed.stderr
    home.estiba("build", "--allow", "network.host", str(context))
    home.estiba("build", "--no-cache", "--network", "host", str(context))


def test_run_sees_home_path_hosts_and_its_directory(home: Any, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox\nRUN mkdir -m 777 /notes\nWORKDIR /made/here\nUSER app\n"
        "RUN echo $HOME $PWD $PATH > /notes/seen; grep added /etc/hosts >> /notes/seen\n"
        "USER root\nRUN stat -c %U:%G /made/here /made >> /notes/seen\n"
        "USER app\nWORKDIR sub\nRUN stat -c %U:%G . >> /notes/seen\n"
    )
    home.estiba("build", "-q", "-t", "built", "--add-host", "added=10.1.2.3", str(context))
    said = home.estiba("run", "--rm", "--network", "none", "built", "cat", "/notes/seen").stdout
    assert said == ("/home/app /made/here /bin:/usr/bin:/sbin\n10.1.2.3\tadded\nroot:root\nroot:root\napp:app\n")


def test_a_check_builds_nothing_and_its_exit_code_tells_whether_there_are_warnings(home: Any, context: Path) -> None:
    """What is wrong is an error as in a build."""
    fine = home.estiba("build", "--check", str(context))
    assert fine.stdout == "Check complete, no warnings found.\n"
    (context / "Dockerfile").write_text(f"# check=experimental=all\n{DOCKERFILE}CMD start\n")
    (context / ".dockerignore").write_text("file\n")
    warned = home.estiba("build", "--check", "-t", "one", str(context), check=False)
    assert warned.returncode == 1
    assert warned.stdout.startswith(
        "Check complete, 2 warnings have been found!\n\nWARNING: CopyIgnoredFile - https://"
    )
    assert "   3 | >>> COPY file /dir/file\n" in warned.stdout
    assert home.estiba("images", "-q", "one").stdout == ""
    (context / "Dockerfile").write_text("FORM busybox\n")
    wrong = home.estiba("build", "--check", str(context), check=False)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "Did you mean FROM?" in wrong.stderr
