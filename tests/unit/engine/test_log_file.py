"""Output becomes Docker's json-file, in files that take turns, and comes back from it."""

from __future__ import annotations

import json
import os

from estiba.engine.logs import Entry, LogReader, Wanted, read
from estiba.engine.monitor.log_file import LONGEST_ENTRY, LogFile


def texts(path: str, **wanted) -> list[bytes]:
    return [entry.data for entry in read(path, Wanted(**wanted))]


def test_a_line_is_an_entry_whatever_pieces_it_came_in(tmp_path):
    path = f"{tmp_path}/log"
    log = LogFile(path, size=1 << 20, files=1)
    for piece in (b"a", b"b\nc", b"\n", b"no end"):
        log.write("stdout", piece)
    log.write("stderr", b"error\n")
    assert texts(path) == [b"ab\n", b"c\n", b"error\n"]
    log.close()
    assert texts(path) == [b"ab\n", b"c\n", b"error\n", b"no end"]


def test_a_long_line_is_cut_and_comes_back_whole(tmp_path):
    path = f"{tmp_path}/log"
    data = b"x" * (LONGEST_ENTRY * 2 + 10) + b"\n"
    log = LogFile(path, size=1 << 20, files=1)
    log.write("stdout", data)
    log.close()
    assert b"".join(texts(path)) == data
    assert max(map(len, texts(path))) <= LONGEST_ENTRY + 1


def test_files_take_turns_and_never_exceed_their_number(tmp_path):
    path = f"{tmp_path}/log"
    log = LogFile(path, size=4096, files=3)
    for number in range(1000):
        log.write("stdout", b"%d\n" % number)
    log.close()
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2"]
    assert all(os.path.getsize(f"{tmp_path}/{name}") <= 4096 for name in os.listdir(tmp_path))
    numbers = [int(text) for text in texts(path)]
    assert numbers == list(range(numbers[0], 1000))


def test_a_log_goes_on_after_a_restart(tmp_path):
    path = f"{tmp_path}/log"
    for word in (b"first\n", b"second\n"):
        log = LogFile(path, size=1 << 20, files=2)
        log.write("stdout", word)
        log.close()
    assert texts(path) == [b"first\n", b"second\n"]


def test_the_last_entries_are_found_over_several_files(tmp_path):
    path = f"{tmp_path}/log"
    log = LogFile(path, size=4096, files=5)
    for number in range(150):
        log.write("stdout", b"%d\n" % number)
    log.close()
    assert len(os.listdir(tmp_path)) > 2
    for count in (0, 1, 10, 60, 100, 149, 150, 1000):
        assert [int(t) for t in texts(path, tail=count)] == list(range(max(0, 150 - count), 150))


def test_times_choose_entries(tmp_path):
    path = f"{tmp_path}/log"
    with open(path, "w", encoding="utf-8") as file:
        for second in range(5):
            json.dump(
                {"log": f"{second}\n", "stream": "stdout", "time": f"2026-01-01T00:00:0{second}.000000000Z"}, file
            )
            file.write("\n")
    assert texts(path, since="2026-01-01T00:00:02.000000000Z", until="2026-01-01T00:00:03.500000000Z") == [
        b"2\n",
        b"3\n",
    ]


def test_a_reader_goes_on_over_any_number_of_rotations(tmp_path):
    path = f"{tmp_path}/log"
    log = LogFile(path, size=4096, files=4)
    with LogReader(path) as reader:
        seen: list[int] = []
        for number in range(400):
            log.write("stdout", b"%d\n" % number)
            if number % 90 == 0:
                seen += [int(entry.data) for entry in reader.available()]
        seen += [int(entry.data) for entry in reader.available()]
    log.close()
    assert seen == list(range(400))


def test_a_damaged_line_is_passed_over(tmp_path):
    path = f"{tmp_path}/log"
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            '{"log":"a\\n","stream":"stdout","time":"t"}\n{"log":"cut of\n{"log":"b\\n","stream":"stderr","time":"t"}\n'
        )
    assert list(read(path, Wanted())) == [Entry("t", "stdout", b"a\n"), Entry("t", "stderr", b"b\n")]
