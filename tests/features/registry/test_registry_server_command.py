"""`estiba registry serve`: addresses, TLS, users, and how it refuses to start."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import sys

import pytest

registries = sys.modules["estiba_test_registries"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = os.path.join(os.path.dirname(sys.executable), "estiba")
    return subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("address", ["nonsense:port", "127.0.0.1:99999", "a b:1"])
def test_a_malformed_address_is_refused(tmp_path, address):
    done = run("registry", "serve", "--listen", address, "--storage", str(tmp_path / "s"))
    assert done.returncode == 1
    assert "is not an address to listen on" in done.stderr


def test_a_taken_port_is_refused_by_its_name(make_server, tmp_path):
    server = make_server()
    done = run("registry", "serve", "--listen", server.address, "--storage", str(tmp_path / "other"))
    assert done.returncode == 1
    assert f"cannot listen on {server.address}" in done.stderr


def test_a_storage_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("registry", "serve", "--listen", "127.0.0.1:0", "--storage", str(tmp_path / "file" / "below"))
    assert done.returncode == 1
    assert "cannot use" in done.stderr


def test_a_certificate_without_its_key_is_refused(tmp_path):
    done = run("registry", "serve", "--storage", str(tmp_path / "s"), "--tls-cert", "x.pem")
    assert done.returncode == 1
    assert "belong together" in done.stderr


def test_https_is_spoken_with_a_certificate(make_server, tmp_path, estiba_home):
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run(command, check=True, capture_output=True)
    server = make_server("--tls-cert", certificate, "--tls-key", key)
    import http.client

    host, _, port = server.address.rpartition(":")
    context = ssl.create_default_context(cafile=certificate)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
    data = os.urandom(500_000)
    connection.request("POST", f"/v2/a/blobs/uploads/?digest={registries.sha256(data)}", data)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (201, b"")
    connection.request("GET", f"/v2/a/blobs/{registries.sha256(data)}")
    assert connection.getresponse().read() == data
    connection.close()
    told = estiba_home.estiba("pull", f"{server.address}/a:1", check=False)
    assert "certificate is not trusted" in told.stderr
    environment = os.environ | {"SSL_CERT_FILE": certificate}
    told = estiba_home.estiba("pull", f"{server.address}/a:1", check=False, env=environment)
    assert "MANIFEST_UNKNOWN" in told.stderr, "our client found that this loopback registry wants TLS"


@pytest.fixture
def users(tmp_path):
    """One user, ana, whose password is `secret` (bcrypt, cost 4)."""
    path = tmp_path / "htpasswd"
    path.write_text("# users\nana:" + bcrypt("secret") + "\n")
    return str(path)


def bcrypt(password: str) -> str:
    import ctypes

    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode()


def test_only_users_of_the_file_are_let_in(make_server, users):
    server = make_server("--htpasswd", users)

    def status(credentials: str | None) -> int:
        headers = {}
        if credentials is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        return server.request("GET", "/v2/", headers=headers).status

    anonymous = server.request("GET", "/v2/")
    assert (anonymous.status, anonymous.code) == (401, "UNAUTHORIZED")
    assert anonymous.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert status("ana:secret") == status("ana:secret") == 200
    for wrong in ("ana:Secret", "ana:", "bob:secret", "nonsense"):
        assert status(wrong) == 401, wrong


def test_a_password_file_that_is_not_bcrypt_is_refused(tmp_path):
    path = tmp_path / "htpasswd"
    path.write_text("ana:plain\n")
    done = run("registry", "serve", "--storage", str(tmp_path / "s"), "--htpasswd", str(path))
    assert done.returncode == 1
    assert "line 1: expected USER:BCRYPT-HASH" in done.stderr
