"""Which manifest of an index is pulled."""

from __future__ import annotations

import pytest

from estiba.oci import mediatypes
from estiba.oci.descriptor import Descriptor
from estiba.oci.digest import Digest
from estiba.oci.manifest import Index
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.registry.client.manifests import NoSuchPlatform, choose

REFERENCE = Reference.parse("busybox")


def index(*platforms: str | None, media_type: str = mediatypes.OCI_MANIFEST) -> Index:
    return Index.make(
        tuple(
            Descriptor(media_type, Digest.of(str(number).encode()), 1, Platform.parse(text) if text else None)
            for number, text in enumerate(platforms)
        )
    )


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [
        (("linux/arm64", "linux/amd64"), "linux/amd64", 1),
        (("linux/arm/v6", "linux/arm/v7"), "linux/arm/v7", 1),
        (("linux/arm/v6",), "linux/arm/v7", 0),
        (("windows/amd64", "linux/amd64"), "linux/amd64", 1),
        ((None,), "linux/amd64", 0),
        (("unknown/unknown", "linux/amd64"), "linux/amd64", 1),
    ],
)
def test_the_platform_that_fits_best_is_chosen(offered, wanted, chosen):
    assert choose(index(*offered), REFERENCE, platform=Platform.parse(wanted)) == Digest.of(str(chosen).encode())


def test_what_is_offered_is_told_where_nothing_fits():
    offered = index("linux/arm64", "windows/amd64", "unknown/unknown")
    with pytest.raises(NoSuchPlatform) as caught:
        choose(offered, REFERENCE, platform=Platform.parse("linux/amd64"))
    assert caught.value.message == "busybox is not there for linux/amd64; it is for linux/arm64, windows/amd64"


def test_what_attests_an_image_is_not_chosen_in_its_place():
    attestation = ("vnd.docker.reference.type", "attestation-manifest")
    digests = [Digest.of(bytes([number])) for number in range(3)]
    image = Descriptor(mediatypes.OCI_MANIFEST, digests[0], 1)
    beside = Descriptor(
        mediatypes.OCI_MANIFEST, digests[1], 1, platform=Platform("unknown", "unknown"), annotations=(attestation,)
    )
    index = Index.make((beside, image))
    name = Reference.parse("app")
    assert choose(index, name, platform=Platform("linux", "amd64")) == digests[0], "the only image needs no platform"
    with pytest.raises(NoSuchPlatform, match="it is for none"):
        choose(Index.make((beside,)), name, platform=Platform("linux", "amd64"))


def test_a_variant_that_goes_without_saying_is_kept_but_does_not_count():
    written = {"os": "linux", "architecture": "arm64", "variant": "v8", "os.features": ["a"], "os.version": "1"}
    platform = Platform.from_json(written)
    assert platform.to_json() == written
    image = Descriptor(mediatypes.OCI_MANIFEST, Digest.of(b"x"), 1, platform=platform)
    assert choose(Index.make((image,)), Reference.parse("app"), platform=Platform("linux", "arm64")) == image.digest
    assert Platform("linux", "arm64").can_run(platform)
