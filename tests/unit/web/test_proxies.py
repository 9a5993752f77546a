"""Which proxy a request takes."""

from __future__ import annotations

import pytest

from estiba.errors import InvalidInput
from estiba.web.proxies import Proxies

BOTH = {"HTTP_PROXY": "http://plain:3128", "HTTPS_PROXY": "secure:3128"}


def test_the_scheme_of_the_request_chooses():
    proxies = Proxies.of(BOTH)
    assert proxies.of_url("http://r.example/v2/") == "http://plain:3128"
    assert proxies.of_url("https://r.example/v2/") == "http://secure:3128"
    assert Proxies.of({}).of_url("https://r.example/v2/") is None


def test_names_in_lower_case_win():
    assert Proxies.of({**BOTH, "http_proxy": "http://small:1"}).of_url("http://r.example") == "http://small:1"


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"])
def test_this_machine_is_reached_straight(host):
    assert Proxies.of(BOTH).of_url(f"http://{host}/v2/") is None


@pytest.mark.parametrize(
    ("exceptions", "url", "goes_straight"),
    [
        ("*", "http://r.example", True),
        ("r.example", "http://r.example", True),
        ("r.example", "http://a.r.example", True),
        (".r.example", "http://a.r.example", True),
        (".r.example", "http://r.example", False),
        ("*.r.example", "http://a.r.example", True),
        ("example", "http://rexample", False),
        ("r.example:5000", "http://r.example:5000", True),
        ("r.example:5000", "http://r.example:5001", False),
        ("r.example:443", "https://r.example", True),
        ("10.0.0.0/8", "http://10.1.2.3:5000", True),
        ("10.0.0.0/8", "http://11.1.2.3:5000", False),
        ("10.1.2.3", "http://10.1.2.3", True),
        ("fd00::/8", "http://[fd00::1]:5000", True),
        ("other, R.example", "http://r.example", True),
    ],
)
def test_exceptions(exceptions, url, goes_straight):
    assert (Proxies.of({**BOTH, "NO_PROXY": exceptions}).of_url(url) is None) is goes_straight


def test_a_proxy_of_another_kind_is_refused():
    with pytest.raises(InvalidInput, match="HTTPS_PROXY is 'socks5://h:1'"):
        Proxies.of({"HTTPS_PROXY": "socks5://h:1"})
