"""`image prune --filter`, and the flags before a command that say which registries may be insecure."""

from __future__ import annotations

import http.server
import threading

import pytest

pytestmark = pytest.mark.root("it builds")


@pytest.fixture
def home(estiba_home, tmp_path):
    for label in ("keep", "go"):
        (tmp_path / "Dockerfile").write_text(f"FROM scratch\nLABEL is={label}\nCOPY Dockerfile /{label}\n")
        estiba_home.estiba("build", "-q", "-t", label, str(tmp_path))
    return estiba_home


def names(home) -> list[str]:
    return home.estiba("images", "--format", "{{.Repository}}").stdout.split()


@pytest.mark.parametrize("chosen", ["label=is=go", "label!=is=keep"])
def test_only_images_that_a_filter_names_go(home, chosen):
    home.estiba("image", "prune", "-af", "--filter", chosen)
    assert names(home) == ["keep"]


def test_a_time_spares_what_is_younger(home):
    home.estiba("image", "prune", "-af", "--filter", "until=1970-01-02T00:00:00Z")
    assert sorted(names(home)) == ["go", "keep"]
    home.estiba("image", "prune", "-af", "--filter", "until=1h", "--filter", "label=is")
    assert names(home) == []
    wrong = home.estiba("image", "prune", "-af", "--filter", "name=x", check=False)
    assert (wrong.returncode, "invalid filter 'name=x'" in wrong.stderr) == (1, True)


def test_an_image_is_saved_for_its_own_platform_alone(home):
    archive = f"{home.directory}/a.tar"
    done = home.estiba("save", "--platform", "linux/s390x", "-o", archive, "keep", check=False)
    assert (done.returncode, "not for linux/s390x" in done.stderr) == (1, True)


class _Tags(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"name": "a", "tags": ["1"]}' if "tags" in self.path else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_registry_may_be_insecure_for_one_command(estiba_home):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Tags) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            environment = {
                "PATH": "/usr/bin",
                "HOME": estiba_home.directory,
                "HTTP_PROXY": f"http://127.0.0.1:{proxy.server_port}",
                "HTTPS_PROXY": "http://127.0.0.1:1",
            }
            flags = ("--insecure-registry", "other.example", "--insecure-registry=registry.example")
            done = estiba_home.estiba(*flags, "tags", "registry.example/a", env=environment)
            assert done.stdout == "1\n"
            assert estiba_home.estiba("tags", "registry.example/a", env=environment, check=False).returncode == 1
        finally:
            proxy.shutdown()
            thread.join()
