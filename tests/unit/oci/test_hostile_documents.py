"""Manifests and configurations come from whoever can push or answers a pull: none takes long, or breaks more than it.

`parse_object` reads them all, on the event loop of the registry too.
"""

from __future__ import annotations

import time

import pytest

from estiba.oci.image_config import ImageConfig
from estiba.oci.json_fields import Malformed, parse_object
from estiba.oci.manifest import MAXIMUM_SIZE, parse_manifest

_MANY = 300_000

HOSTILE = {
    "a key twice, behind many others": b"{" + b"".join(b'"%d":0,' % n for n in range(_MANY)) + b'"299999":1}',
    "every key twice": b"{" + b",".join(b'"%d":0' % (n // 2) for n in range(_MANY)) + b"}",
    "arrays in arrays": b'{"a":' + b"[" * 1_000_000,
    "closed arrays in arrays": b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "objects in objects": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "a number of a million digits": b'{"a":' + b"9" * 1_000_000 + b"}",
    "not a number": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "two documents": b"{}{}",
    "bytes that are no text": b'{"a":"\xff"}',
    "nothing": b"",
    "a text with a raw line break": b'{"a":"\n"}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_document_is_refused_at_once(data):
    begun = time.process_time()
    with pytest.raises(Malformed):
        parse_object(data, what="manifest")
    assert time.process_time() - begun < 2


def test_a_manifest_is_refused_by_its_size_before_it_is_read():
    with pytest.raises(Malformed, match="limit"):
        parse_manifest(b" " * (MAXIMUM_SIZE + 1))


@pytest.mark.parametrize(
    "field",
    [
        b'"Env":[1]',
        b'"Env":"A=1"',
        b'"Cmd":{"a":1}',
        b'"Labels":["a"]',
        b'"Labels":{"a":1}',
        b'"User":7',
        b'"WorkingDir":[]',
        b'"Volumes":["/a"]',
        b'"ExposedPorts":{"80":1}',
        b'"StopSignal":true',
    ],
)
def test_a_configuration_of_another_shape_is_refused_or_ignored_in_a_sentence(field):
    """Only ever `Malformed`, never a TypeError from somewhere behind."""
    data = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{' + field + b"}}"
    try:
        ImageConfig.parse(data)
    except Malformed as error:
        assert "config" in str(error)
