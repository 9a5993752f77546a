"""A container's resolv.conf and hosts."""

from __future__ import annotations

from estiba.networks.resolver import hosts, resolv_conf

LOOPBACK_ONLY = "# systemd-resolved\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org\n"


def test_name_servers_on_loopback_and_ipv6_are_dropped_and_the_rest_stays() -> None:
    servers = "nameserver 127.0.0.1\nnameserver 192.0.2.53\nnameserver ::1\nnameserver fd00::53\n"
    assert resolv_conf(f"; comment\n{servers}search a.org b.org\n") == "nameserver 192.0.2.53\nsearch a.org b.org\n"


def test_the_upstream_servers_count_where_the_host_has_a_local_resolver() -> None:
    expected = "nameserver 192.0.2.1\nsearch example.org\noptions edns0 trust-ad\n"
    assert resolv_conf(LOOPBACK_ONLY, upstream_text="nameserver 192.0.2.1\n") == expected


def test_public_servers_are_the_last_resort_and_the_file_says_so() -> None:
    text = resolv_conf("nameserver 127.0.0.53\n")
    assert text.startswith("# The host's name servers cannot be reached")
    assert text.endswith("nameserver 8.8.8.8\nnameserver 8.8.4.4\n")


def test_what_the_user_gives_replaces_the_hosts() -> None:
    text = resolv_conf(LOOPBACK_ONLY, servers=["192.0.2.9"], search=["c.org"], options=["ndots:2"])
    assert text == "nameserver 192.0.2.9\nsearch c.org\noptions ndots:2\n"


def test_a_dot_as_search_means_no_search() -> None:
    assert resolv_conf("nameserver 192.0.2.53\n", search=["."]) == "nameserver 192.0.2.53\n"


def test_the_last_of_search_and_domain_counts() -> None:
    assert (
        resolv_conf("nameserver 192.0.2.5\ndomain a.org\nsearch b.org c.org\n").splitlines()[1] == "search b.org c.org"
    )


def test_hosts_has_the_container_itself_and_its_extra_names() -> None:
    text = hosts(hostname="web.example.org", address="10.87.0.2", names=[("db", "10.87.0.3")])
    assert text == (
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        "10.87.0.3\tdb\n10.87.0.2\tweb.example.org web\n"
    )


def test_without_a_network_the_name_leads_to_loopback() -> None:
    assert hosts(hostname="box").endswith("127.0.1.1\tbox\n")
