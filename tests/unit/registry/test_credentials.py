"""The credential file that Docker's tools share."""

from __future__ import annotations

import json
import os
import stat

import pytest

from estiba.errors import InvalidInput, NotFound
from estiba.registry.client.addresses import RegistryAddress
from estiba.registry.client.credentials import CredentialFile, HelperFailed, Login

HELPER = """#!/bin/sh
read line
case "$1" in
  get) [ "$line" = known.example ] && echo '{"ServerURL":"known.example","Username":"ana","Secret":"s"}' && exit 0
       [ "$line" = token.example ] && echo '{"Username":"<token>","Secret":"identity"}' && exit 0
       [ "$line" = odd.example ] && echo nonsense && exit 0
       echo "credentials not found in native keychain"; exit 1 ;;
  store) echo "$line" > "$0.stored" ;;
  erase) echo "$line" > "$0.erased" ;;
esac
"""


@pytest.fixture
def path(tmp_path) -> str:
    return str(tmp_path / "docker" / "config.json")


def write(path: str, value: object) -> CredentialFile:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)
    return CredentialFile(path)


def test_a_login_is_kept_and_found_and_forgotten(path):
    file = CredentialFile(path)
    assert file.get("r.example:5000") is None
    assert file.put("r.example:5000", Login("ana", "p:w ü")) == path
    assert file.get("r.example:5000") == Login("ana", "p:w ü")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    file.remove("r.example:5000")
    assert file.get("r.example:5000") is None
    with pytest.raises(NotFound):
        file.remove("r.example:5000")


def test_what_other_tools_wrote_is_kept(path):
    file = write(path, {"auths": {"other.example": {"auth": "YTpi"}}, "detachKeys": "ctrl-x"})
    file.put("r.example", Login("ana", "secret"))
    with open(path, encoding="utf-8") as text:
        value = json.load(text)
    assert value["detachKeys"] == "ctrl-x"
    assert set(value["auths"]) == {"other.example", "r.example"}
    assert os.listdir(os.path.dirname(path)) == ["config.json"]


@pytest.mark.parametrize("name", ["r.example", "https://r.example", "https://r.example/v1/", "https://r.example/v2/"])
def test_older_spellings_of_a_registry_are_understood(path, name):
    assert write(path, {"auths": {name: {"auth": "YTpi"}}}).get("r.example") == Login("a", "b")


def test_docker_hub_has_its_own_key(path):
    key = RegistryAddress.of("docker.io").key
    assert write(path, {"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}}}).get(key) == Login("a", "b")


def test_an_identity_token_is_a_login(path):
    file = write(path, {"auths": {"r.example": {"identitytoken": "long"}}})
    assert file.get("r.example") == Login("", "", "long")


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"r.example": {"auth": "!!!"}}}'])
def test_a_malformed_file_is_told(path, text):
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(InvalidInput, match=r"config\.json"):
        CredentialFile(path).get("r.example")


@pytest.fixture
def helper(tmp_path, monkeypatch) -> str:
    path = tmp_path / "docker-credential-test"
    path.write_text(HELPER)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return str(path)


def test_a_helper_is_asked(path, helper):
    file = write(path, {"credsStore": "test"})
    assert file.get("known.example") == Login("ana", "s")
    assert file.get("token.example") == Login("", "", "identity")
    assert file.get("unknown.example") is None
    with pytest.raises(HelperFailed, match="something else than JSON"):
        file.get("odd.example")


def test_a_helper_stores_and_erases(path, helper):
    file = write(path, {"credHelpers": {"r.example": "test"}})
    assert file.put("r.example", Login("ana", "secret")) == "docker-credential-test"
    with open(f"{helper}.stored", encoding="utf-8") as stored:
        assert json.load(stored) == {"ServerURL": "r.example", "Username": "ana", "Secret": "secret"}
    file.remove("r.example")
    assert os.path.exists(f"{helper}.erased")


def test_a_helper_that_is_missing_is_told(path):
    with pytest.raises(HelperFailed, match="not installed"):
        write(path, {"credsStore": "that-nobody-has"}).get("r.example")


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("localhost", "http://localhost"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.9.8.7:80", "http://127.9.8.7:80"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ("localhost.example", "https://localhost.example"),
        ("127.0.0.1.example:443", "https://127.0.0.1.example:443"),
    ],
)
def test_only_this_machine_is_spoken_to_in_the_open(registry, url):
    assert RegistryAddress.of(registry).url == url
