"""Volumes outlive containers; what is mounted is what was asked, filled from the image once, read-only if told so."""

from __future__ import annotations

import os

import pytest

from estiba.oci.image_config import RunConfig

pytestmark = pytest.mark.without_root_too


def volumes(host) -> list[str]:
    return host.estiba("volume", "ls", "-q").stdout.split()


def test_what_is_in_a_volume_stays_when_its_container_goes(busybox_host):
    busybox_host.estiba("run", "--rm", "-v", "cargo:/data", "busybox", "sh", "-c", "echo kept > /data/file")
    assert busybox_host.estiba("run", "--rm", "-v", "cargo:/data", "busybox", "cat", "/data/file").stdout == "kept\n"
    assert volumes(busybox_host) == ["cargo"]


def test_an_empty_volume_gets_what_the_image_has_there(busybox_host):
    busybox_host.make_image("site", files={"/var/www/index.html": "hello\n", "/var/www/a/b": "deep\n"})
    script = "cat /var/www/index.html /var/www/a/b; stat -c %a:%U /home/app; echo more > /var/www/index.html"
    done = busybox_host.estiba("run", "--rm", "-v", "www:/var/www", "-v", "home:/home/app", "site", "sh", "-c", script)
    assert done.stdout == "hello\ndeep\n755:app\n"
    again = busybox_host.estiba("run", "--rm", "-v", "www:/var/www", "site", "cat", "/var/www/index.html")
    assert again.stdout == "more\n"
    empty = busybox_host.estiba("run", "--rm", "-v", "none:/var/www:nocopy", "site", "ls", "/var/www")
    assert empty.stdout == ""


def test_a_link_in_the_image_does_not_lead_the_copy_out_of_it(busybox_host, tmp_path):
    """/var/www is a link to a directory of the host: inside the image that place does not exist."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("of the host")
    busybox_host.make_image("hostile", links={"/var/www": str(secret)})
    busybox_host.estiba("run", "-v", "www:/var/www", "hostile", "true", check=False)
    mountpoint = busybox_host.estiba("volume", "inspect", "www", "-f", "{{.Mountpoint}}").stdout.strip()
    assert os.listdir(mountpoint) == []


def test_a_directory_of_the_host_is_shown_and_may_be_read_only(busybox_host, tmp_path):
    (tmp_path / "in").write_text("from the host\n")
    script = "cat /shared/in; touch /shared/out 2>/dev/null || echo refused"
    refused = busybox_host.estiba("run", "--rm", "-v", f"{tmp_path}:/shared:ro", "busybox", "sh", "-c", script)
    assert refused.stdout == "from the host\nrefused\n"
    keys = f"type=bind,source={tmp_path},target=/shared"
    busybox_host.estiba("run", "--rm", "--mount", keys, "busybox", "sh", "-c", script)
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_a_single_file_can_be_shown(busybox_host, tmp_path):
    file = tmp_path / "settings"
    file.write_text("set\n")
    assert busybox_host.estiba("run", "--rm", "-v", f"{file}:/etc/s:ro", "busybox", "cat", "/etc/s").stdout == "set\n"


def test_a_place_in_memory_has_its_size(busybox_host):
    done = busybox_host.estiba("run", "--rm", "--tmpfs", "/scratch:size=1m", "busybox", "df", "-k", "/scratch")
    assert done.stdout.splitlines()[1].split()[:2] == ["tmpfs", "1024"]


def test_volumes_of_the_image_go_with_a_container_to_be_removed(busybox_host):
    busybox_host.make_image("keeper", run=RunConfig(cmd=("sh",), volumes=("/data",)))
    busybox_host.estiba("run", "--rm", "keeper", "touch", "/data/file")
    assert volumes(busybox_host) == []
    busybox_host.estiba("run", "--name", "one", "keeper", "touch", "/data/file")
    (name,) = volumes(busybox_host)
    assert busybox_host.inspect("one")["Mounts"][0]["Name"] == name
    busybox_host.estiba("rm", "one")
    assert volumes(busybox_host) == [name]
    busybox_host.estiba("volume", "prune", "-f")
    assert volumes(busybox_host) == []


def test_a_volume_in_use_is_not_removed_and_prune_spares_named_ones(busybox_host):
    busybox_host.estiba("create", "--name", "one", "-v", "cargo:/data", "busybox")
    refused = busybox_host.estiba("volume", "rm", "cargo", check=False)
    assert refused.returncode == 1
    assert "one" in refused.stderr
    busybox_host.estiba("rm", "one")
    busybox_host.estiba("volume", "prune", "-f")
    assert volumes(busybox_host) == ["cargo"]
    busybox_host.estiba("volume", "rm", "cargo")
    assert volumes(busybox_host) == []
    assert not os.path.exists(f"{busybox_host.root}/volumes/cargo")


def test_an_image_in_use_by_a_container_survives_the_garbage_collection(busybox_host):
    busybox_host.estiba("create", "--name", "one", "busybox", "echo", "still here")
    busybox_host.estiba("gc", check=False)
    assert busybox_host.estiba("start", "-a", "one").stdout == "still here\n"
