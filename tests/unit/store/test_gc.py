"""What a garbage collection decides, and that it does just that."""

from __future__ import annotations

import os

from estiba.oci.digest import Digest
from estiba.store import gc
from estiba.store.blobs.base import BlobInfo
from estiba.store.gc import Facts, ImageFact, Options, Plan, Removal, SnapshotFact
from estiba.store.scratch import Abandoned
from estiba.store.uses import IMAGE, SNAPSHOT, Use


def d(text: str) -> Digest:
    return Digest.of(text.encode())


NAMED = ImageFact(d("image"), ("app:1",), (d("c1"), d("c2")), (d("l1"), d("l2")), (d("manifest"), d("blob1")))
UNNAMED = NAMED._replace(names=())
STACK = (
    SnapshotFact(None, d("c1"), None, 10),
    SnapshotFact(None, d("c2"), d("c1"), 20),
    SnapshotFact(None, d("c3"), d("c2"), 30),
    SnapshotFact(None, d("c4"), d("c3"), 40),
)
WHY_SNAPSHOT = "no image, container or build step needs it"


def _targets(plan: Plan) -> list[str]:
    return [removal.target for removal in plan.removals]


def test_an_empty_store_has_no_garbage():
    assert gc.plan(Facts()) == Plan(())


def test_what_an_image_needs_stays_and_the_rest_goes_children_first():
    facts = Facts(images=(NAMED,), snapshots=STACK)
    assert gc.plan(facts).removals == (
        Removal(gc.COMMITTED_SNAPSHOT, str(d("c4")), WHY_SNAPSHOT, 40),
        Removal(gc.COMMITTED_SNAPSHOT, str(d("c3")), WHY_SNAPSHOT, 30),
    )


def test_an_image_without_a_name_stays_unless_dangling_ones_are_asked_for():
    facts = Facts(images=(UNNAMED,), snapshots=STACK[:1])
    assert gc.plan(facts).removals == ()
    assert _targets(gc.plan(facts, Options(dangling=True))) == [str(UNNAMED.id), str(d("c1"))]


def test_an_image_that_a_container_uses_is_not_dangling():
    facts = Facts(images=(UNNAMED,), uses=(Use("container/1", IMAGE, str(UNNAMED.id)),), snapshots=STACK[:2])
    assert gc.plan(facts, Options(dangling=True)).removals == ()


def test_every_image_that_no_container_has_goes_where_that_is_asked_for():
    used = ImageFact(d("used"), ("used:1",), (d("c1"),), (d("l1"),), ())
    facts = Facts(images=(NAMED, used), uses=(Use("container/1", IMAGE, str(used.id)),), snapshots=STACK[:2])
    assert gc.plan(facts, Options(unused=True)).removals == (
        Removal(gc.DANGLING_IMAGE, str(NAMED.id), "no container has it: app:1", 0),
        Removal(gc.COMMITTED_SNAPSHOT, str(d("c2")), WHY_SNAPSHOT, 20),
    )
    assert len(gc.plan(facts.without(["container/1"]), Options(unused=True)).removals) == 4


def test_what_builds_keep_between_steps_goes_with_the_build_cache():
    facts = Facts(mounts=(Abandoned("/root/mounts/a", 5),))
    assert gc.plan(facts).removals == ()
    (removal,) = gc.plan(facts, Options(build_cache=True)).removals
    assert (removal.kind, removal.target, removal.size) == (gc.CACHE_MOUNT, "/root/mounts/a", 5)
    busy = facts._replace(leases=("build (process 7)",))
    assert gc.plan(busy, Options(build_cache=True)).removals == ()


def test_a_container_keeps_its_own_snapshot_and_those_below():
    facts = Facts(
        snapshots=(*STACK[:2], SnapshotFact("container-1", None, d("c2"), 5), SnapshotFact("lost", None, d("c2"), 6)),
        uses=(Use("container/1", SNAPSHOT, "container-1"),),
    )
    assert gc.plan(facts).removals == (Removal(gc.ACTIVE_SNAPSHOT, "lost", "nobody is working on it", 6),)


def test_the_build_cache_keeps_its_snapshots_until_it_is_emptied():
    facts = Facts(snapshots=STACK, cache=(("key", d("c4")), ("no change", None)))
    assert gc.plan(facts).removals == ()
    assert _targets(gc.plan(facts, Options(build_cache=True))) == [
        "key",
        "no change",
        *(str(d(chain)) for chain in ("c4", "c3", "c2", "c1")),
    ]


def test_of_the_build_cache_what_images_have_too_stays_unless_all_is_to_go():
    facts = Facts(
        images=(NAMED,),
        cache=(("shared", d("c2")), ("own", d("c3")), ("empty", None)),
        snapshots=STACK,
        blobs=(BlobInfo(d("garbage"), 7),),
        leftovers=(Abandoned("/tmp/left", 8),),
        mounts=(Abandoned("/mounts/m", 9),),
    )
    own = ["own", "empty", "/mounts/m", str(d("c4")), str(d("c3"))]
    assert _targets(gc.plan_of_cache(facts, whole=False)) == own
    assert _targets(gc.plan_of_cache(facts, whole=True)) == ["shared", *own]
    assert _targets(gc.plan_of_cache(facts._replace(leases=("a build",)), whole=True)) == []


def test_blobs_of_images_and_known_forms_of_their_layers_stay():
    names = ("image", "manifest", "blob1", "form of l2", "form of l9", "index", "stray")
    facts = Facts(
        images=(NAMED._replace(blobs=(*NAMED.blobs, d("index"))),),
        layer_blobs=((d("l2"), d("form of l2")), (d("l9"), d("form of l9"))),
        blobs=tuple(BlobInfo(d(name), 7) for name in names),
    )
    assert gc.plan(facts).removals == tuple(
        Removal(gc.UNUSED_BLOB, str(d(name)), "no image needs it", 7) for name in ("form of l9", "stray")
    )


def test_while_a_lease_is_held_only_leftovers_go_and_it_says_why():
    facts = Facts(leases=("pull app (process 7)",), snapshots=STACK, leftovers=(Abandoned("/root/tmp/blob.1", 3),))
    assert gc.plan(facts) == Plan(
        (Removal(gc.LEFTOVER, "/root/tmp/blob.1", "its writer is gone", 3),),
        "4 unreferenced things stay while this goes on: pull app (process 7)",
    )


def test_a_plan_can_be_narrowed():
    facts = Facts(snapshots=STACK)
    assert _targets(gc.plan(facts).only([str(d("c4"))])) == [str(d("c4"))]
    assert gc.plan(facts).size == 100


def _commit(store, content: bytes, parent: Digest | None = None) -> Digest:
    from estiba.oci.chain_id import extend

    diff_id = Digest.of(content)
    store.snapshots.prepare("work", parent)
    with open(store.snapshots.writable("work") + "/file", "wb") as file:
        file.write(content)
    chain = extend(parent, diff_id)
    store.snapshots.commit("work", chain_id=chain, diff_id=diff_id, size=len(content))
    return chain


def test_applying_removes_files_and_rows_and_leaves_a_sound_store(store):
    low = _commit(store, b"low")
    _commit(store, b"high", low)
    store.cache.put("kept", low, Digest.of(b"low"), {})
    store.snapshots.prepare("lost", low)
    blob = store.blobs.put(b"unused")
    descriptor, path = store.scratch.file("blob")
    os.close(descriptor)
    removed = gc.collect(store)
    assert {removal.kind for removal in removed.removals} == {
        gc.ACTIVE_SNAPSHOT,
        gc.COMMITTED_SNAPSHOT,
        gc.UNUSED_BLOB,
        gc.LEFTOVER,
    }
    assert [record.chain_id for record in store.snapshots.list()] == [low]
    assert len(os.listdir(store.paths.snapshots)) == 1
    assert not store.blobs.has(blob)
    assert not os.path.exists(path)
    assert gc.collect(store).removals == ()


def test_what_has_come_to_be_needed_since_the_plan_stays(store):
    chain = _commit(store, b"layer")
    plan = gc.plan(gc.gather(store))
    store.cache.put("key", chain, Digest.of(b"layer"), {})
    assert gc.apply(store, plan).removals == ()
    assert store.snapshots.has(chain)


def test_a_lease_that_began_since_the_plan_stops_it(store):
    chain = _commit(store, b"layer")
    blob = store.blobs.put(b"unused")
    plan = gc.plan(gc.gather(store))
    with store.leases.hold("a build"):
        removed = gc.apply(store, plan)
    assert removed.removals == ()
    assert "a build" in removed.kept
    assert store.snapshots.has(chain)
    assert store.blobs.has(blob)
