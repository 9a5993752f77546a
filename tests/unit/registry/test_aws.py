"""Which hosts are ECR's, and what is said where botocore is missing."""

from __future__ import annotations

import sys

import pytest

from estiba.errors import Unavailable
from estiba.registry.client.aws import EcrLogins, EcrRegistry


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com", "us-east-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
    ],
)
def test_a_private_registry_tells_its_account_and_region(host, region):
    assert EcrRegistry.parse(host) == EcrRegistry("123456789012", region)


@pytest.mark.parametrize(
    "host",
    ["ghcr.io", "public.ecr.aws", "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example", "localhost:5000", ""],
)
def test_other_hosts_are_asked_nothing_of(host):
    assert EcrRegistry.parse(host) is None
    assert EcrLogins().get(host) is None


def test_without_botocore_the_ways_to_a_login_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(Unavailable, match="botocore is not installed") as told:
        EcrLogins().get("123456789012.dkr.ecr.us-east-1.amazonaws.com")
    assert "pip install 'estiba[ecr]'" in told.value.remedy
    assert "ecr-login" in told.value.remedy
