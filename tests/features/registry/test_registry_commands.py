"""push, pull, login and logout as a person types them."""

from __future__ import annotations

import json
import os
import sys
from importlib import util
from pathlib import Path

import pytest

from estiba.store.store import Store

registries = sys.modules["estiba_test_registries"]


def add_busybox(home, name: str) -> None:
    spec = util.spec_from_file_location("estiba_test_images_of_commands", Path(__file__).parents[2] / "images.py")
    images = util.module_from_spec(spec)
    spec.loader.exec_module(images)
    with Store.open(home.root) as store:
        images.busybox_image(store, name)


@pytest.mark.root
def test_push_and_pull_tell_what_they_did(server, make_estiba_home, repository):
    here, there = make_estiba_home(), make_estiba_home()
    name = f"{server.address}/{repository}"
    add_busybox(here, name)
    pushed = here.estiba("push", name).stdout.splitlines()
    assert pushed[0] == "Using default tag: latest"
    assert pushed[1] == f"The push refers to repository [{name}]"
    assert pushed[-2].startswith("sent ")
    assert "2 pushed" in pushed[-2]
    assert pushed[-1].startswith("latest: digest: sha256:")
    again = here.estiba("push", f"{name}:latest").stdout.splitlines()
    assert again[-2].startswith("sent 0 bytes; blobs: 2 already there")
    pulled = there.estiba("pull", name).stdout.splitlines()
    assert pulled[1] == f"latest: Pulling from {repository}"
    assert pulled[-3:] == [
        f"Digest: {pushed[-1].split()[2]}",
        f"Status: Downloaded newer image for {name}:latest",
        f"{name}:latest",
    ]


@pytest.mark.root
def test_quiet_prints_the_name_alone(server, make_estiba_home, repository):
    here = make_estiba_home()
    name = f"{server.address}/{repository}:1"
    add_busybox(here, name)
    assert here.estiba("push", "-q", name).stdout == f"{name}\n"
    assert make_estiba_home().estiba("pull", "--quiet", name).stdout == f"{name}\n"


def test_a_build_pushes_its_names(server, make_estiba_home, repository, tmp_path):
    here, there = make_estiba_home(), make_estiba_home()
    name = f"{server.address}/{repository}:built"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    told = here.estiba("build", "-q", "--push", "-t", name, str(tmp_path)).stdout.split()
    there.estiba("pull", "-q", name)
    assert there.estiba("images", "-q", "--no-trunc").stdout.split() == told, "quiet: the image ID alone"


def test_a_build_without_a_name_has_nothing_to_push(estiba_home, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    done = estiba_home.estiba("build", "--push", str(tmp_path), check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "estiba: there is no name to push")


def test_what_is_not_here_is_not_pushed(estiba_home, server):
    done = estiba_home.estiba("push", f"{server.address}/nothing:1", check=False)
    assert done.returncode == 1
    assert "no such image" in done.stderr


def test_what_is_not_there_is_not_pulled(estiba_home, server):
    done = estiba_home.estiba("pull", f"{server.address}/nothing:1", check=False)
    assert done.returncode == 1
    assert "NAME_UNKNOWN" in done.stderr


@pytest.mark.root
def test_all_tags_go_and_come(server, make_estiba_home, repository):
    here, there = make_estiba_home(), make_estiba_home()
    name = f"{server.address}/{repository}"
    add_busybox(here, f"{name}:one")
    here.estiba("tag", f"{name}:one", f"{name}:two")
    here.estiba("push", "-q", "--all-tags", name)
    assert there.estiba("pull", "-q", "--all-tags", name).stdout.split() == [f"{name}:one", f"{name}:two"]
    assert there.estiba("images", "-q").stdout.split() == here.estiba("images", "-q").stdout.split()
    assert "without a tag" in there.estiba("pull", "--all-tags", f"{name}:one", check=False).stderr
    assert "no image here is called" in there.estiba("push", "--all-tags", f"{name}/other", check=False).stderr


def test_a_registry_answers_questions(server, estiba_home, repository):
    manifest = server.push_image(repository, "1", b"layer")
    digest = registries.sha256(manifest)
    for tag in ("2", "3"):
        server.push_manifest(repository, tag, manifest)
    name = f"{server.address}/{repository}"
    assert estiba_home.estiba("tags", name).stdout.split() == ["1", "2", "3"]
    assert json.loads(estiba_home.estiba("tags", "--json", name).stdout) == ["1", "2", "3"]
    assert repository in estiba_home.estiba("catalog", server.address).stdout.split()
    assert estiba_home.estiba("search", name).stdout.split() == ["NAME", name]
    assert estiba_home.estiba("search", "--limit", "1", "--format", "{{.Name}}", name[:-1]).stdout == f"{name}\n"
    assert "Docker Hub" in estiba_home.estiba("search", "nginx", check=False).stderr
    assert estiba_home.estiba("digest", f"{name}:2").stdout == f"{digest}\n"
    assert estiba_home.estiba("digest", "--full", f"{name}:2").stdout == f"{name}@{digest}\n"
    assert estiba_home.estiba("manifest", "inspect", "--raw", f"{name}:1").stdout.encode() == manifest
    assert json.loads(estiba_home.estiba("manifest", "inspect", f"{name}:1").stdout) == json.loads(manifest)
    shown = json.loads(estiba_home.estiba("manifest", "inspect", "-v", f"{name}@{digest}").stdout)
    assert shown["Descriptor"] == {"mediaType": registries.OCI_MANIFEST, "digest": digest, "size": len(manifest)}
    missing = estiba_home.estiba("tags", f"{server.address}/nobody/made/this", check=False)
    assert (missing.returncode, "NAME_UNKNOWN" in missing.stderr) == (1, True)


def test_what_refers_to_an_image_is_listed(server, estiba_home, repository):
    manifest = server.push_image(repository, "1", b"layer")
    subject = registries.descriptor(registries.OCI_MANIFEST, manifest)
    server.push_blob(repository, b"{}")
    signature = registries.image_manifest(b"{}", subject=subject, artifactType="application/x-signature")
    server.push_manifest(repository, registries.sha256(signature), signature)
    name = f"{server.address}/{repository}:1"
    assert registries.sha256(signature) in estiba_home.estiba("referrers", name).stdout
    form = ("--format", "{{.ArtifactType}}")
    assert estiba_home.estiba("referrers", *form, name).stdout == "application/x-signature\n"
    assert estiba_home.estiba("referrers", *form, "--artifact-type", "application/x-other", name).stdout == ""


def test_login_and_logout(make_server, estiba_home, tmp_path):
    import ctypes

    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    users = tmp_path / "htpasswd"
    users.write_text("ana:" + library.crypt(b"secret", b"$2b$04$abcdefghijklmnopqrstuu").decode() + "\n")
    server = make_server("--htpasswd", str(users))
    environment = os.environ | {"DOCKER_CONFIG": str(tmp_path / "docker")}

    def login(password: str):
        return estiba_home.estiba(
            *("login", "-u", "ana", "--password-stdin", server.address),
            check=False,
            stdin=None,
            input=password + "\n",
            env=environment,
        )

    wrong = login("wrong")
    assert wrong.returncode == 1
    assert "UNAUTHORIZED" in wrong.stderr
    right = login("secret")
    assert (right.returncode, right.stdout.split(" (")[0]) == (0, "Login Succeeded"), right.stderr
    config = tmp_path / "docker" / "config.json"
    assert list(json.loads(config.read_text())["auths"]) == [server.address]
    assert "NAME_UNKNOWN" in estiba_home.estiba("pull", f"{server.address}/a", check=False, env=environment).stderr
    estiba_home.estiba("logout", server.address, env=environment)
    assert "denied access" in estiba_home.estiba("pull", f"{server.address}/a", check=False, env=environment).stderr
    assert estiba_home.estiba("logout", server.address, env=environment, check=False).returncode == 1


def test_a_password_needs_a_user_or_a_terminal(estiba_home):
    done = estiba_home.estiba("login", "--password-stdin", "r.example", check=False)
    assert "--password-stdin needs --username" in done.stderr
    done = estiba_home.estiba("login", "r.example", check=False)
    assert "no terminal" in done.stderr
