"""Why a step is run again: what it depends on now beside what it depended on the last time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from estiba.dockerfile.checks import looks_secret
from estiba.graph.vertex import Pairs

NEVER = "never run before"
REMOVED = "its result was removed"
STEP_BEFORE = "the step before it changed"
SOURCE = "the stage that it copies from changed"

_LONGEST_VALUE = 60
_MOST_WORDS = 1_000
_CONTEXT = 3
"""How many words around a change are shown."""

_SHOWN = 3
"""How many causes a line of progress names."""

_SHELL = "/bin/sh -c "
_KINDS = {"10": "a file", "12": "a link", "4": "a directory"}
_WHOLE = {
    "step": "Estiba makes this step in another way now",
    "arguments": "the same words are other arguments",
    "source stage": SOURCE,
}


def summary(causes: Sequence[str]) -> str:
    """One line for the progress: ``run again: src/a changed (content) and 2 more``."""
    if causes[0] == NEVER:
        return f"run: {NEVER}"
    more = f" and {len(causes) - _SHOWN} more" if len(causes) > _SHOWN else ""
    return f"run again: {', '.join(causes[:_SHOWN])}{more}"


def causes(
    before: Mapping[str, str], now: Pairs, *, text: tuple[str, str] = ("", ""), moved: str = ""
) -> tuple[str, ...]:
    """What is different, in the order of its weight: the text, then all else that the step depends on by itself.

    `before` and `now` are the parts of the two keys; `text` is the instruction then and now, if both are known; `moved`
    says how the base image changed, if it did. Everything behind a changed step is changed too, so that is told only
    where nothing else is.
    """
    after = dict(now)
    found: list[str] = []
    if text[0] != text[1] and all(text):
        found.append(f"the instruction changed: {word_diff(*text)}")
    elif before.get("command", "") != after.get("command", ""):
        pair = (before.get("command", ""), after.get("command", ""))
        found.append(f"the command changed: {word_diff(*(each.removeprefix(_SHELL) for each in pair))}")
    for name, value in after.items():
        if name in before and before[name] != value and _is_told(name, found):
            found.append(_changed(name, before[name], value))
    found += [
        f"{_name(name)} is new{_value(name, after[name])}" for name in after if name not in before and _counts(name)
    ]
    found += [f"{_name(name)} is gone" for name in before if name not in after and _counts(name)]
    if before.get("base") != after.get("base") and (moved or not found):
        found.append(moved or STEP_BEFORE)
    return tuple(dict.fromkeys(found)) or (REMOVED,)


def word_diff(before: str, after: str) -> str:
    """The words of `after`, with ``[-what is gone-]`` and ``{+what is new+}``; long parts without a change are cut."""
    old, new = before.split(), after.split()
    if len(old) > _MOST_WORDS or len(new) > _MOST_WORDS:
        return f"{len(old)} words → {len(new)} words"
    words: list[str] = []
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for number, (kind, begin, end, new_begin, new_end) in enumerate(blocks):
        if kind == "equal":
            words += _cut(old[begin:end], is_first=number == 0, is_last=number + 1 == len(blocks))
            continue
        if begin < end:
            words.append(f"[-{' '.join(old[begin:end])}-]")
        if new_begin < new_end:
            words.append(f"{{+{' '.join(new[new_begin:new_end])}+}}")
    return " ".join(words)


def _cut(words: list[str], *, is_first: bool, is_last: bool) -> list[str]:
    head = words[:1] if is_first else words[:_CONTEXT]
    tail = [] if is_last else words[-_CONTEXT:]
    return words if len(head) + len(tail) + 1 >= len(words) else [*head, "…", *tail]


def _is_told(name: str, found: Sequence[str]) -> bool:
    """Whether a part is told by itself: the command is already, and its arguments are nothing more."""
    return name not in ("base", "command") and (name != "arguments" or not found)


def _counts(name: str) -> bool:
    """Whether a part that came or went says anything by itself: the files of a source do so better."""
    return not name.startswith("source ") and name not in ("base", "command", "arguments")


def _changed(name: str, before: str, after: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    if name.startswith("file "):
        return f"{_name(name)} changed ({', '.join(_file_changes(before, after))})"
    if name.startswith("inline file "):
        return f"the here-document {name.removeprefix('inline file ')} changed"
    if name.startswith(("mount ", "source of mount ", "source ")):
        return f"{_name(name)} changed"
    if looks_secret(name.removeprefix("variable ")):
        return f"{name} changed"
    return f"{name}: {_shown(before)} → {_shown(after)}"


def _file_changes(before: str, after: str) -> list[str]:
    """Of the parts ``MODE PATH CONTENT`` of a file: what is different."""
    mode, _, rest = before.partition(" ")
    new_mode, _, new_rest = after.partition(" ")
    kind, new_kind = _kind(mode), _kind(new_mode)
    if kind != new_kind:
        return [f"it is {new_kind} now, not {kind}"]
    found = []
    if rest != new_rest:
        target, new_target = (each.rpartition(" ")[2] for each in (rest, new_rest))
        found.append(f"link {target} → {new_target}" if kind == _KINDS["12"] else "content")
    if mode != new_mode:
        found.append(f"mode {mode[-4:].lstrip('0') or '0'} → {new_mode[-4:].lstrip('0') or '0'}")
    return found


def _kind(mode: str) -> str:
    return _KINDS.get(mode[:-4], "a special file")


def _name(name: str) -> str:
    if name.startswith("mount "):
        return f"the {name}"
    if name.startswith("source of mount "):
        return f"what is mounted at {name.removeprefix('source of mount ')}"
    return name.removeprefix("file ").removeprefix("source ")


def _value(name: str, value: str) -> str:
    is_variable = name.startswith("variable ") and not looks_secret(name.removeprefix("variable "))
    return f": {_shown(value)}" if is_variable else ""


def _shown(value: str) -> str:
    short = value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"
    return short if short and not any(char.isspace() for char in short) else f'"{short}"'


def same_step(earlier: Sequence[str], now: Sequence[str], position: int) -> int | None:
    """Which of the instructions `earlier` the one at `position` of `now` was; None where it is a new one.

    An equal text is the same; where texts were replaced, the most similar one with the same keyword.
    """
    for kind, begin, end, new_begin, new_end in SequenceMatcher(None, earlier, now, autojunk=False).get_opcodes():
        if not new_begin <= position < new_end:
            continue
        if kind == "equal":
            return begin + position - new_begin
        text = now[position]
        keyword = text.split(" ", 1)[0].upper()
        rated = [
            (SequenceMatcher(None, earlier[index].split(), text.split(), autojunk=False).ratio(), -index)
            for index in range(begin, end)
            if earlier[index].split(" ", 1)[0].upper() == keyword
        ]
        return -max(rated)[1] if rated else None
    return None
