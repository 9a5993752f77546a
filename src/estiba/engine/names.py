"""Names and ids of containers. Pure, but for the random choice that is given."""

from __future__ import annotations

from estiba.errors import InvalidInput

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_FURTHER = _FIRST | frozenset("_.-")

# From the harbour: what is stowed, and how it lies.
_ADJECTIVES = """
able airy amber aweigh azure balmy bold brave breezy bright brisk calm candid cheery clear coastal copper crisp deft
dry eager early even fair firm fleet floating fresh gallant gentle glad golden grand hale handy hardy hearty high
humble jolly keen kind lasting level light lively loyal lucky mellow merry mighty mild misty moored neat noble nimble
northern patient plain polite proud quick quiet ready robust rolling rosy round sable safe salty sea silver sleek
smooth snug solid sound southern spry steady stout sturdy sunny swift tall tidal tidy trim true trusty upright vivid
warm western windward wise
"""
_NOUNS = """
anchor anvil ballast barge barque barrel basin beacon boom bosun bow bridge buoy cable capstan caravel cargo cask
chart clipper coaster compass crane crate current cutter davit deck derrick dinghy dock dolphin dory ferry fender
fluke foresail frigate galleon gangway gull halyard harbour hatch hawser heron hull islet jetty keel ketch lantern
launch lighter lighthouse locker log lugger mainsail mast mooring oar packet pelican petrel pier pilot pinnace plank
port prow pulley quay rigging rudder sail schooner sextant shackle sheave shoal skiff sloop spar spyglass stevedore
sternpost tackle tanker tarpaulin tender tide tiller trawler tug wharf winch yard yawl
"""


def generated_name(numbers: bytes, *, attempt: int = 0) -> str:
    """A name such as ``steady_harbour`` chosen by two random `numbers`; later attempts get a digit."""
    adjectives, nouns = _ADJECTIVES.split(), _NOUNS.split()
    name = f"{adjectives[numbers[0] % len(adjectives)]}_{nouns[numbers[1] % len(nouns)]}"
    return f"{name}{attempt}" if attempt else name


def checked_name(name: str) -> str:
    """Give back `name` without the leading slash that Docker's API shows.

    Raises:
        InvalidInput: other characters than a name may have.
    """
    name = name.removeprefix("/")
    if len(name) < 2 or name[0] not in _FIRST or not _FURTHER.issuperset(name):
        raise InvalidInput(
            f"invalid container name {name!r}",
            remedy="Use letters, digits, and _ . - after the first character; at least two characters.",
        )
    return name


def looks_like_id(text: str) -> bool:
    """Whether `text` can be (the beginning of) a container's id: 1 to 64 hexadecimal digits."""
    return 0 < len(text) <= 64 and all(c in "0123456789abcdef" for c in text)
