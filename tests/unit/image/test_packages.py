"""Packages are read from the records of their managers."""

from __future__ import annotations

from estiba.image.packages import Package, parse_apk, parse_dpkg

DPKG = """\
Package: base-files
Status: install ok installed
Version: 12.4
Description: the base
 Package: not-this
 more words

Package: gone
Status: deinstall ok config-files
Version: 1

nonsense

Package: libc6
Status: install ok installed
Version: 2.36-9
"""


def test_dpkg_names_what_is_installed():
    assert list(parse_dpkg(DPKG)) == [Package("dpkg", "base-files", "12.4"), Package("dpkg", "libc6", "2.36-9")]
    assert list(parse_dpkg("")) == []


def test_apk_names_what_is_installed():
    text = "C:Q1x=\nP:musl\nV:1.2.4-r2\nF:lib\n\nP:busybox\nV:1.36\n\nx\n"
    assert list(parse_apk(text)) == [Package("apk", "musl", "1.2.4-r2"), Package("apk", "busybox", "1.36")]
