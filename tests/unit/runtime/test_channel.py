"""What goes between the processes that bring up a container."""

from __future__ import annotations

from estiba.errors import InvalidInput
from estiba.runtime.process.channel import failure, make_channel


def test_the_last_word_of_a_process_that_has_left_an_answer_unread_arrives() -> None:
    ours, theirs = make_channel()
    ours.send("G")
    theirs.fail(InvalidInput("this cannot be"))
    theirs.close()
    kind, content, _ = ours.receive()
    assert kind == "X"
    assert failure(content).message == "this cannot be"
    assert ours.receive()[0] == ""
    ours.close()
