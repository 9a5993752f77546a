"""Who runs a container, by what USER says and the image's own files."""

from __future__ import annotations

import pytest

from estiba.errors import InvalidInput
from estiba.image.users import UnknownUser, UserIds, resolve_user

PASSWD = """\
# a comment
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:an application:/home/app:/bin/sh
1234:x:77:77::/home/odd:/bin/sh
homeless:x:5:6
broken:x:notanumber:0::/:/bin/sh
"""
GROUP = """\
root:x:0:
web:x:33:app,root
app:x:1001:
audio:x:29:app
broken:x:nan:app
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", UserIds(0, 0, (0, 33), "/root", "root")),
        ("root", UserIds(0, 0, (0, 33), "/root", "root")),
        ("app", UserIds(1000, 1001, (1001, 33, 29), "/home/app", "app")),
        ("1000", UserIds(1000, 1001, (1001, 33, 29), "/home/app", "app")),
        ("app:web", UserIds(1000, 33, (33,), "/home/app", "app")),
        ("app:29", UserIds(1000, 29, (29,), "/home/app", "app")),
        ("4242", UserIds(4242, 0, (0,), "/", "")),
        ("4242:4343", UserIds(4242, 4343, (4343,), "/", "")),
        (":33", UserIds(0, 33, (33,), "/root", "root")),
        ("homeless", UserIds(5, 6, (6,), "/", "homeless")),
    ],
)
def test_a_user_is_resolved_as_docker_does(text, expected):
    assert resolve_user(text, passwd=PASSWD, group=GROUP) == expected


def test_a_name_wins_over_a_number():
    assert resolve_user("1234", passwd=PASSWD, group=GROUP).uid == 77


def test_numbers_need_no_files():
    assert resolve_user("7:8", passwd="", group="") == UserIds(7, 8, (8,), "/", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "user 'nobody' is not in /etc/passwd of the image"),
        ("app:none", "group 'none' is not in /etc/group of the image"),
        ("broken", "user 'broken' is not in /etc/passwd of the image"),
        ("-1", "user '-1' is not in /etc/passwd of the image"),
    ],
)
def test_an_unknown_name_says_in_which_file_it_is_not(text, message):
    with pytest.raises(UnknownUser) as caught:
        resolve_user(text, passwd=PASSWD, group=GROUP)
    assert caught.value.message == message


@pytest.mark.parametrize("text", ["4294967295", "0:99999999999999999999999", "app:"])
def test_what_no_user_can_be_is_refused(text):
    with pytest.raises(InvalidInput):
        resolve_user(text, passwd=PASSWD, group=GROUP)
