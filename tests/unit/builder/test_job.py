"""A job survives its way to the step's process."""

from __future__ import annotations

from estiba.builder.context.tree import Entry, Item
from estiba.builder.step.job import (
    Action,
    CopyAction,
    DirectoryAction,
    ExportAction,
    Job,
    Place,
    RunAction,
    StepMount,
    decode,
    encode,
)
from estiba.linux.mounts import Mount

ENTRY = Entry("odd \udcff", "src/odd \udcff", 0o100644, 1, 2, 3, "", 0, (1, 2, 3, 4, 5))
ITEM = Item("src", (ENTRY,))
PLACE = Place((Mount("overlay", "overlay", "", ("lowerdir=/a:/b", "index=off")),))


def job(action: Action) -> Job:
    return Job("/run/step", PLACE, "/root/1/fs", 315532800, action)


def test_every_action_comes_back_as_it_was() -> None:
    mount = StepMount("bind", "/x", Place((), "/ctx"), "p", True, 0o400, 1, 2, 3, "\xff\x00", (ITEM,))
    run = RunAction(
        arguments=("sh", "-c", "x"),
        env=("A=1",),
        user="app",
        working_dir="/",
        mounts=(mount,),
        files=(("EOF", "text", 0o644),),
        network="none",
        privileged=False,
        container_id="c",
        runtime=("runc",),
        runtime_root="/r",
        runtime_is_ours=True,
        networks_root="/n",
        networks_run="/m",
        resolv_conf="",
        extra_hosts=("a:1.2.3.4",),
    )
    copy = CopyAction(
        PLACE, ("a*",), (ITEM,), (("f", "x", 0o600),), "/d/", "1:2", "755", True, ("x",), True, False, "s"
    )
    for action in (run, copy, DirectoryAction("/app", "app"), ExportAction("tar", "/out", (1, 2))):
        assert decode(encode(job(action))) == job(action)
