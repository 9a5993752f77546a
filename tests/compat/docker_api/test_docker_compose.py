"""docker-compose (Debian's 1.29) brings a web service, its database and its cache up on our daemon, and down again."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]

_PROJECT = """\
services:
  web:
    build: ./web
    ports: ["127.0.0.1:0:80"]
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_started}
    environment:
      - SAYS=from the web
    restart: on-failure
  db:
    image: busybox
    command: sh -c 'echo from the database > /data/index.html; exec httpd -f -p 5432 -h /data'
    volumes: ["kept:/data"]
    healthcheck:
      test: wget -q -O - http://localhost:5432/
      interval: 200ms
  cache:
    image: busybox
    command: httpd -f -p 6379 -h /etc
    networks:
      default:
        aliases: [redis]
volumes:
  kept:
"""

_DOCKERFILE = """\
FROM busybox
RUN mkdir -p /www
COPY serve /serve
CMD ["sh", "/serve"]
"""

_SERVE = """\
wget -q -O /www/index.html http://db:5432/ || exit 1
wget -q -O - http://redis:6379/group >> /www/index.html || exit 1
echo $SAYS >> /www/index.html
exec httpd -f -h /www
"""


@pytest.fixture
def project(ours, tmp_path: Path):
    """`docker-compose` in the directory of a project."""
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed")
    (tmp_path / "web").mkdir()
    (tmp_path / "docker-compose.yml").write_text(_PROJECT)
    (tmp_path / "web" / "Dockerfile").write_text(_DOCKERFILE)
    (tmp_path / "web" / "serve").write_text(_SERVE)
    environment = os.environ | {"DOCKER_HOST": ours.docker.address, "COMPOSE_PROJECT_NAME": "shop"}
    environment["DOCKER_BUILDKIT"] = environment["COMPOSE_DOCKER_CLI_BUILD"] = "0"

    def compose(*words: str) -> str:
        done = subprocess.run(
            ["docker-compose", "--no-ansi", *words],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield compose
    compose("down", "-v", "--rmi", "local")


def test_a_project_comes_up_finds_itself_and_goes_down(ours, project) -> None:
    project("up", "-d")
    address = project("port", "web", "80").strip()
    page: list[str] = []

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=5) as response:
                page[:] = response.read().decode().splitlines()
        except OSError:
            return False
        return True

    wait_until(answers, "the web service answers", patience=30)
    assert page[0] == "from the database" and page[-1] == "from the web"
    assert {line.split()[0] for line in project("ps").splitlines()[2:]} >= {"shop_web_1", "shop_db_1", "shop_cache_1"}
    assert "shop_web_1" in project("ps", "web")
    assert project("exec", "-T", "db", "cat", "/data/index.html") == "from the database\n"
    project("up", "-d", "--scale", "cache=2", "--no-recreate")
    assert len(ours.docker("ps", "-q", "--filter", "label=com.docker.compose.service=cache").stdout.split()) == 2
    project("stop", "-t", "0", "web")
    project("start", "web")
    project("restart", "-t", "0", "db")
    assert "Attaching to shop_db_1" in project("logs", "--no-color", "db")
    project("down", "-t", "0")
    assert ours.docker("ps", "-aq").stdout == ""
    assert ours.docker("network", "ls", "-q", "--filter", "name=shop").stdout == ""
    assert ours.docker("volume", "ls", "-q").stdout.strip() == "shop_kept"
