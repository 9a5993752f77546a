"""`estiba diff` tells what a container has changed of its image's files, and nothing that only starting it has made."""

from __future__ import annotations

import os

import pytest

from estiba.engine.changes import Change, changes_of
from estiba.engine.removal import snapshot_key
from estiba.store.store import Store
from images import busybox_image

pytestmark = pytest.mark.without_root_too

SCRIPT = """
echo x > /etc/new; rm /etc/passwd; rm -r /var/www; mkdir /var/www; touch /var/www/in; chmod 700 /home
mkdir -p /a/b; ln -s x /a/l; echo > /root/x; rm /root/x; mv /bin/ar /bin/ar2; touch /bin/busybox
"""
EXPECTED = """\
A /a
A /a/b
A /a/l
C /bin
D /bin/ar
A /bin/ar2
C /bin/busybox
C /etc
A /etc/new
D /etc/passwd
C /home
C /var
C /var/www
A /var/www/in
"""


def test_additions_changes_and_deletions_are_told(busybox_host):
    busybox_host.estiba("run", "--name", "one", "busybox", "sh", "-c", SCRIPT)
    assert busybox_host.estiba("diff", "one").stdout == EXPECTED
    assert busybox_host.estiba("container", "diff", "one").stdout == EXPECTED


def test_an_untouched_container_has_no_changes_also_while_it_runs(busybox_host):
    busybox_host.estiba("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    assert busybox_host.estiba("diff", "one").stdout == ""
    busybox_host.estiba("exec", "one", "rm", "/etc/group")
    assert busybox_host.estiba("diff", "one").stdout == "C /etc\nD /etc/group\n"


@pytest.mark.root
def test_copies_are_compared_too(tmp_path):
    with Store.open(str(tmp_path / "store"), snapshotter="copying") as store:
        image = busybox_image(store)
        chain = store.images.config(image.id).chain_id
        store.snapshots.prepare(snapshot_key("x"), chain)
        tree = store.snapshots.writable(snapshot_key("x"))
        os.unlink(f"{tree}/etc/passwd")
        os.mkdir(f"{tree}/new")
        with open(f"{tree}/etc/hosts", "w", encoding="ascii"):
            pass
        assert changes_of(store, snapshot_key("x")) == [
            Change("C", "/etc"),
            Change("D", "/etc/passwd"),
            Change("A", "/new"),
        ]
