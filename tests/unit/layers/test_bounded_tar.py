"""A damaged tar is told as one, in every mode in which the standard library reads: no loop, no other exception."""

from __future__ import annotations

import io
import tarfile
import time

import pytest

from corpus import DAMAGED_TARS, TARS
from estiba.layers.tar.bounded import BoundedTar

MODES = ("r:", "r:*", "r|*")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("data", DAMAGED_TARS.values(), ids=DAMAGED_TARS)
def test_what_is_damaged(data, mode):
    begun = time.process_time()
    names = []
    with pytest.raises(tarfile.TarError), BoundedTar.open(fileobj=io.BytesIO(data), mode=mode) as tar:
        for member in tar:
            names.append(member.name)
            assert len(names) < 10
    assert names[0] == "a"
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("data", TARS.values(), ids=TARS)
def test_what_is_right(data, mode):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [member.get_info() for member in tar]
    with BoundedTar.open(fileobj=io.BytesIO(data), mode=mode) as tar:
        assert [member.get_info() for member in tar] == expected
