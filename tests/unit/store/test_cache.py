"""What the build cache remembers."""

from __future__ import annotations

from estiba.oci.digest import Digest

CHAIN, DIFF = Digest.of(b"chain"), Digest.of(b"diff")


def test_a_result_is_found_under_its_key_with_its_parts(store):
    store.cache.put("k", CHAIN, DIFF, {"src/app.py": "sha256:1"}, step="Dockerfile:3")
    record = store.cache.get("k")
    assert record is not None
    assert (record.chain_id, record.diff_id, record.parts, record.step) == (
        CHAIN,
        DIFF,
        {"src/app.py": "sha256:1"},
        "Dockerfile:3",
    )
    assert store.cache.get("other") is None


def test_the_last_result_of_a_step_explains_a_miss(store):
    store.cache.put("k1", CHAIN, DIFF, {"a": "1"}, step="s")
    store.cache.put("k2", None, None, {"a": "2"}, step="other")
    last = store.cache.last_for("s")
    assert last is not None
    assert last.parts == {"a": "1"}
    assert store.cache.last_for("never") is None


def test_records_can_be_dropped_one_by_one_and_all_at_once(store):
    for key in ("a", "b", "c"):
        store.cache.put(key, CHAIN, DIFF, {})
    store.cache.remove("a")
    assert {record.key for record in store.cache.list()} == {"b", "c"}
    assert store.cache.clear() == 2
    assert store.cache.list() == []
