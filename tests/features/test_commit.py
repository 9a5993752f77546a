"""`estiba commit` makes an image of what a container has changed, and of how it runs."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.without_root_too

SCRIPT = """
echo made > /new; rm /etc/passwd; rm -r /var/www; mkdir /var/www; echo in > /var/www/in; ln -s new /link
chown 1000:1000 /new; chmod 4755 /new; ln /new /twin
"""


def config(host, name: str) -> dict:
    """The configuration of an image."""
    found: dict = json.loads(host.estiba("inspect", "--type", "image", name).stdout)[0]
    return found


def test_the_image_has_the_files_and_the_configuration_of_the_container(busybox_host):
    words = ("-e", "A=1", "-l", "k=v", "-w", "/root", "-v", "/data", "-u", "0")
    busybox_host.estiba("run", "--name", "one", *words, "busybox", "sh", "-c", SCRIPT)
    told = busybox_host.estiba("commit", "-a", "me", "-m", "why", "-c", "ENV B=2", "one", "made:1").stdout.strip()
    found = config(busybox_host, "made:1")
    assert found["Id"] == told
    assert found["Author"] == "me"
    assert {"A=1", "B=2"} <= set(found["Config"]["Env"])
    assert found["Config"]["Cmd"] == ["sh", "-c", SCRIPT]
    assert found["Config"]["WorkingDir"] == "/root"
    assert found["Config"]["Labels"] == {"k": "v"}
    assert "/data" in found["Config"]["Volumes"]
    assert "why" in busybox_host.estiba("history", "--no-trunc", "made:1").stdout
    script = "cat /new /link /var/www/in; ls /etc/passwd /var/www; stat -c '%u %a %h' /new; pwd; echo $A $B"
    done = busybox_host.estiba("run", "--rm", "-u", "0", "made:1", "sh", "-c", script, check=False)
    assert done.stdout.splitlines() == ["made", "made", "in", "/var/www:", "in", "1000 4755 2", "/root", "1 2"]
    assert "/etc/passwd" in done.stderr


def test_what_only_starting_has_made_is_not_in_the_image(busybox_host):
    busybox_host.estiba("run", "--name", "one", "busybox", "true")
    busybox_host.estiba("commit", "one", "same")
    busybox_host.estiba("run", "--name", "two", "same", "true")
    assert busybox_host.estiba("diff", "two").stdout == ""
    layers = busybox_host.estiba("image", "diff", "--only", "files", "busybox", "same", check=False).stdout
    assert "hosts" not in layers
    assert "resolv" not in layers


def test_changes_replace_the_command_and_an_entry_point_takes_it_away(busybox_host):
    busybox_host.estiba("create", "--name", "one", "busybox", "echo", "of the container")
    busybox_host.estiba("commit", "-c", 'CMD ["echo", "changed"]', "one", "a")
    busybox_host.estiba("commit", "-c", 'ENTRYPOINT ["echo", "entered"]', "one", "b")
    assert busybox_host.estiba("run", "--rm", "a").stdout == "changed\n"
    assert busybox_host.estiba("run", "--rm", "b").stdout == "entered\n"


@pytest.mark.root
def test_a_running_container_is_paused_and_goes_on(busybox_host):
    script = "i=0; while :; do i=$((i+1)); echo $i > /new; mv /new /n; echo $i; sleep 0.01; done"
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sh", "-c", script)
    busybox_host.wait_until(lambda: busybox_host.estiba("logs", "one").stdout, "it counts")
    busybox_host.estiba("commit", "one", "running")
    assert busybox_host.state("one") == "running"
    written = len(busybox_host.estiba("logs", "one").stdout)
    busybox_host.wait_until(lambda: len(busybox_host.estiba("logs", "one").stdout) > written, "it counts on")
    assert busybox_host.estiba("run", "--rm", "running", "cat", "/n").stdout.strip().isdigit()
    refused = busybox_host.estiba("commit", "--pause=false", "one", check=False)
    assert "--pause=false" in refused.stderr
    busybox_host.estiba("commit", "-p", "one", "paused")
    assert config(busybox_host, "paused")["RepoTags"] == ["paused:latest"]
