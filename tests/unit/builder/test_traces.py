"""Places for mounts are taken away again; where that fails, so does the step, since the layer would be another one."""

from __future__ import annotations

import errno
import os

import pytest

from estiba.builder.step import traces


def test_what_was_missing_and_is_empty_goes_and_the_rest_stays(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text("")
    found = traces.before(str(tmp_path), ["/etc/hosts", "/etc/resolv.conf", "/a/b", "/c"])
    assert found.missing == ("etc/resolv.conf", "a", "a/b", "c")
    (tmp_path / "etc" / "resolv.conf").write_text("")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "made").write_text("by the step")
    traces.tidy(str(tmp_path), found)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "c",
        "c/made",
        "etc",
        "etc/hosts",
    ]


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EMFILE])
def test_a_failure_is_no_reason_to_leave_something_in_the_layer(tmp_path, monkeypatch, error):
    found = traces.before(str(tmp_path), ["/etc/hosts"])
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text("")

    def fail(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail)
        with pytest.raises(OSError, match=os.strerror(error)):
            traces.tidy(str(tmp_path), found)
    with monkeypatch.context() as patch:
        patch.setattr(traces, "open_in_root", fail)
        with pytest.raises(OSError, match=os.strerror(error)):
            traces.before(str(tmp_path), ["/etc/hosts"])
