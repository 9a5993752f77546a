"""A web page does not own the machine on which its browser runs."""

from __future__ import annotations

import pytest

from estiba.docker_api.pages import why_refused


@pytest.mark.parametrize("headers", [{"Origin": "null"}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}])
def test_what_a_browser_says_of_itself_is_refused_on_every_address(headers: dict[str, str]) -> None:
    assert "web pages" in why_refused(headers, has_names=True)
    assert "web pages" in why_refused(headers, has_names=False)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:2375", "127.0.0.1:2375", "127.0.0.1", "[::1]:2375", "[::1]"])
def test_a_port_is_asked_for_by_its_address(host: str) -> None:
    assert why_refused({"Host": host}, has_names=False) == ""


@pytest.mark.parametrize("host", ["evil.example", "evil.example:2375", "127.0.0.1.evil.net", "localhost.evil:1", ""])
def test_a_page_whose_name_leads_to_this_machine_is_refused(host: str) -> None:
    assert "localhost" in why_refused({"Host": host}, has_names=False)
    assert why_refused({"Host": host}, has_names=True) == ""
