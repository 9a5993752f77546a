"""`--security-opt label=…` and `apparmor=…`, on a kernel that has the module and on one that has not."""

from __future__ import annotations

import pytest

from estiba.engine import label_options
from estiba.errors import Unavailable
from estiba.linux import labels


def test_without_the_module_only_what_asks_for_nothing_is_taken(monkeypatch):
    monkeypatch.setattr(labels, "has_apparmor", lambda: False)
    monkeypatch.setattr(labels, "has_selinux", lambda: False)
    assert label_options.apparmor("unconfined") == ""
    assert label_options.label(("disable",)) == ("", "")
    with pytest.raises(Unavailable, match="no AppArmor"):
        label_options.apparmor("docker-default")
    with pytest.raises(Unavailable, match="no SELinux"):
        label_options.label(("type:spc_t",))


def test_with_the_module_they_are_the_containers(monkeypatch, tmp_path):
    monkeypatch.setattr(labels, "has_apparmor", lambda: True)
    monkeypatch.setattr(labels, "has_selinux", lambda: True)
    assert [label_options.apparmor(name) for name in ("unconfined", "mine")] == ["unconfined", "mine"]
    with pytest.raises(Unavailable, match="knows no containers"):
        label_options.label(("type:spc_t",), config=str(tmp_path))
    (tmp_path / "config").write_text("SELINUX=enforcing\nSELINUXTYPE=minimum\n")
    (tmp_path / "minimum" / "contexts").mkdir(parents=True)
    (tmp_path / "minimum" / "contexts" / "lxc_contexts").write_text('process = "u:r:t:s0"\nfile = "u:o:f:s0"\n')
    process, files = label_options.label(("type:spc_t", "level:s0:c3"), config=str(tmp_path))
    assert (process, files) == ("u:r:spc_t:s0:c3", "u:o:f:s0:c3")
    process, files = label_options.label(("type:spc_t",), config=str(tmp_path))
    assert process.startswith("u:r:spc_t:s0:c") and files.endswith(process.removeprefix("u:r:spc_t:"))
