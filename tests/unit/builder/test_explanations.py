"""Why a step is run again, in words."""

from __future__ import annotations

import pytest

from estiba.builder import keys
from estiba.builder.explanations import causes, same_step, summary, word_diff
from estiba.graph.protocols import Result
from estiba.graph.vertex import InlineFile, Run, RunMount

BASE = Result("sha256:" + "a" * 64, ("sha256:" + "a" * 64,))
MOVED = Result("sha256:" + "b" * 64, ("sha256:" + "b" * 64,))
RUN = Run(("/bin/sh", "-c", "make"), env=(("PATH", "/bin"), ("MODE", "fast")))


def parts(run: Run = RUN, base: Result = BASE) -> tuple[tuple[str, str], ...]:
    return keys.run_parts(run, [base, base], {})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (RUN._replace(arguments=("/bin/sh", "-c", "make all")), "the command changed: make {+all+}"),
        (RUN._replace(arguments=("/bin/sh -c", "make")), "the same words are other arguments"),
        (RUN._replace(env=(("PATH", "/bin"), ("MODE", "slow"))), "variable MODE: fast → slow"),
        (RUN._replace(env=(("PATH", "/bin"), ("MODE", ""))), 'variable MODE: fast → ""'),
        (RUN._replace(env=(("PATH", "/bin"),)), "variable MODE is gone"),
        (RUN._replace(env=(*RUN.env, ("B", "x y"))), 'variable B is new: "x y"'),
        (RUN._replace(env=(*RUN.env, ("API_TOKEN", "x"))), "variable API_TOKEN is new"),
        (RUN._replace(user="me"), 'user: "" → me'),
        (RUN._replace(working_dir="/src"), "working directory: / → /src"),
        (RUN._replace(files=(InlineFile("EOF", "#!/bin/sh"),)), "inline file EOF is new"),
        (RUN._replace(mounts=(RunMount("cache", "/c"),)), "the mount /c is new"),
    ],
)
def test_a_part_that_changed_is_told_with_both_values(changed: Run, told: str) -> None:
    """As a person writes it; what looks like a secret without any."""
    assert causes(dict(parts()), parts(changed)) == (told,)


def test_values_of_secrets_are_never_shown() -> None:
    """A build's log is read by more people than its store."""
    before = RUN._replace(env=(("DB_PASSWORD", "old"),))
    after = RUN._replace(env=(("DB_PASSWORD", "new"),))
    assert causes(dict(parts(before)), parts(after)) == ("variable DB_PASSWORD changed",)


def test_a_changed_base_is_told_only_where_nothing_else_is_or_where_it_is_an_image() -> None:
    """Everything behind a changed step is changed too."""
    before = dict(parts())
    assert causes(before, parts(base=MOVED)) == ("the step before it changed",)
    slower = RUN._replace(env=(("PATH", "/bin"), ("MODE", "slow")))
    assert causes(before, parts(slower, MOVED)) == ("variable MODE: fast → slow",)
    moved = "the base image a moved: sha256:1 → sha256:2"
    assert causes(before, parts(slower, MOVED), moved=moved) == ("variable MODE: fast → slow", moved)
    assert causes(before, parts()) == ("its result was removed",)


def test_the_text_of_the_instruction_is_told_before_all_else() -> None:
    """The command is the same change once more, the files of another source are what it leads to."""
    text = ("RUN make", "RUN make all")
    told = causes(dict(parts()), parts(RUN._replace(arguments=("/bin/sh", "-c", "make all"))), text=text)
    assert told == ("the instruction changed: RUN make {+all+}",)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("100644 f sha256:1", "100644 f sha256:2", "content"),
        ("100644 f sha256:1", "100755 f sha256:1", "mode 644 → 755"),
        ("100644 f sha256:1", "104755 f sha256:2", "content, mode 644 → 4755"),
        ("120777 f a", "120777 f b", "link a → b"),
        ("100644 f sha256:1", "120777 f a", "it is a link now, not a file"),
        ("40755 f ", "100644 f sha256:1", "it is a file now, not a directory"),
        ("40755 f ", "40700 f ", "mode 755 → 700"),
    ],
)
def test_of_a_changed_file_it_is_told_how(before: str, after: str, told: str) -> None:
    """Content, mode, where a link leads, or another kind of file."""
    assert causes({"file src/f": before}, (("file src/f", after),)) == (f"src/f changed ({told})",)


def test_new_files_and_those_that_are_gone_are_named() -> None:
    """The sources that hold them are not told besides."""
    before = {"source a": "a", "file a/x": "1", "file a/y": "1"}
    now = (("source b", "b"), ("file a/x", "1"), ("file b/z", "1"))
    assert causes(before, now) == ("b/z is new", "a/y is gone")


def test_a_line_of_progress_names_three_causes_and_counts_the_others() -> None:
    """The record has them all."""
    assert summary(("never run before",)) == "run: never run before"
    assert summary(("a is new", "b is gone")) == "run again: a is new, b is gone"
    assert summary(tuple("abcde")) == "run again: a, b, c and 2 more"


def test_words_that_stay_are_cut_where_they_are_many() -> None:
    """What changed is seen at once in a long command too."""
    long = " ".join(f"w{number}" for number in range(20))
    assert word_diff(f"RUN {long} a", f"RUN {long} b") == "RUN … w17 w18 w19 [-a-] {+b+}"
    assert word_diff(f"RUN a {long}", f"RUN b {long}") == "RUN [-a-] {+b+} w0 w1 w2 …"
    assert word_diff("a " * 2000, "b") == "2000 words → 1 words"


def test_a_step_is_compared_with_what_it_was_and_not_with_what_stood_in_its_place() -> None:
    """An instruction that comes in between, or goes, changes nothing for those after it."""
    assert same_step(["RUN a", "COPY b /", "RUN c"], ["RUN a", "RUN new", "COPY b /", "RUN c"], 3) == 2
    assert same_step(["RUN a", "COPY b /", "RUN c"], ["RUN a", "RUN c"], 1) == 2
    assert same_step(["RUN a", "COPY b /", "RUN make x"], ["RUN a", "COPY b c /", "RUN make y"], 2) == 2
    assert same_step(["RUN a", "COPY b /", "RUN make x"], ["RUN a", "COPY b c /", "RUN make y"], 1) == 1
    assert same_step(["RUN a"], ["RUN a", "COPY b /"], 1) is None
