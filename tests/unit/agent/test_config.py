"""The agent's configuration: what it means, and where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from estiba.agent.config import AgentConfig, InvalidConfig, Repository, parse, secret_files
from estiba.deploy.app import App

WHOLE = """
[agent]
workers = 2

[[repository]]
name = "acme/quotes"
url = "https://token@github.com/acme/quotes.git"
branch = "release/1"
secret_file = "/etc/hook"
context = "api"
dockerfile = "docker/Dockerfile"
image = "registry.example.com/acme/quotes"
tags = ["latest", "{branch}-{short_sha}"]
build_args = { A = "1" }
secrets = { ca = "/etc/ca" }

[repository.deploy]
name = "quotes"
publish = ["127.0.0.1:8000:8000"]
env = ["GREETING=hello"]
volumes = ["data:/data"]
memory = "256m"
cpus = "0.5"
restart = "on-failure:3"
command = ["serve"]
probe = "http://127.0.0.1:8000/healthz"
ready_within = 5
"""
LEAST = """
[[repository]]
name = "acme/quotes"
url = "/srv/quotes.git"
secret = "s"
image = "localhost:5000/quotes"
"""


def test_every_key_is_read() -> None:
    app = App(
        name="quotes",
        publish=("127.0.0.1:8000:8000",),
        env=("GREETING=hello",),
        volumes=("data:/data",),
        memory="256m",
        cpus="0.5",
        restart="on-failure:3",
        command=("serve",),
        probe="http://127.0.0.1:8000/healthz",
        ready_within=5.0,
    )
    repository = Repository(
        name="acme/quotes",
        url="https://token@github.com/acme/quotes.git",
        branch="release/1",
        secret=b"from the file",
        context="api",
        dockerfile="docker/Dockerfile",
        image="registry.example.com/acme/quotes",
        tags=("latest", "{branch}-{short_sha}"),
        build_args=(("A", "1"),),
        secrets=(("ca", "/etc/ca"),),
        deploy=app,
    )
    secrets = {"/etc/hook": b"from the file\n"}
    assert parse(WHOLE, filename="agent.toml", secret_files=secrets) == AgentConfig((repository,), 2)


def test_what_is_left_out_has_a_default() -> None:
    repository = Repository(
        "acme/quotes",
        "/srv/quotes.git",
        "main",
        b"s",
        ".",
        "Dockerfile",
        "localhost:5000/quotes",
        ("latest",),
        (),
        (),
        None,
    )
    assert parse(LEAST, filename="agent.toml", secret_files={}) == AgentConfig((repository,), 1)


def test_a_repository_is_found_whatever_its_case() -> None:
    config = parse(LEAST, filename="agent.toml", secret_files={})
    assert config.find("ACME/Quotes") == config.repositories[0]
    assert config.find("acme/other") is None


def test_secrets_are_not_shown_with_the_value() -> None:
    config = parse(WHOLE, filename="f", secret_files={"/etc/hook": b"hidden"})
    assert repr(config) == "AgentConfig(repositories=(Repository('acme/quotes'),), workers=2)"


def test_the_files_with_secrets_are_known_whatever_else_is_wrong() -> None:
    document = {"repository": [{"secret_file": "/a"}, {"secret_file": 1}, {"secret_file": "b"}, 7]}
    assert secret_files(document) == ("/a",)
    assert secret_files({"repository": "x"}) == ()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('secret = "s"', "", "repository[1].secret: give either secret or secret_file"),
        ('secret = "s"', 'secret = "s"\nsecret_file = "/x"', "repository[1].secret: give either"),
        ('secret = "s"', 'secret_file = "x"', "repository[1].secret_file: 'x' is not an absolute path"),
        ('secret = "s"', 'secret_file = "/empty"', "repository[1].secret_file: /empty is empty"),
        ('name = "acme/quotes"', "", "repository[1].name: required, but missing"),
        ('name = "acme/quotes"', 'name = "quotes"', "repository[1].name: 'quotes' is not a repository's full name"),
        ('name = "acme/quotes"', "name = 1", "repository[1].name: expected a string"),
        ("/srv/quotes.git", "--upload-pack=evil", "repository[1].url: '--upload-pack=evil' is not an address"),
        ("/srv/quotes.git", "ext::sh -c evil", "repository[1].url: 'ext::sh -c evil' is not an address"),
        ("/srv/quotes.git", "git@-oProxyCommand=evil:x", "repository[1].url: "),
        ("/quotes.git", '/q.git"\nbranch = "--all', "repository[1].branch: '--all' is not a branch"),
        (
            "/quotes.git",
            '/q.git"\nbranch = "refs/heads/main',
            "repository[1].branch: 'refs/heads/main' is not a branch",
        ),
        ("/quotes.git", '/q.git"\nbranch = "a*', "repository[1].branch: 'a*' is not a branch"),
        ("/quotes.git", '/q.git"\ncontext = "../x', "repository[1].context: '../x' is not a path inside"),
        ("/quotes.git", '/q.git"\ndockerfile = "/etc/x', "repository[1].dockerfile: '/etc/x' is not a path"),
        ("5000/quotes", "5000/quotes:1", "repository[1].image: 'localhost:5000/quotes:1' has a tag"),
        ("5000/quotes", "5000/Quotes", "repository[1].image: invalid reference"),
        ('5000/quotes"', '5000/quotes"\ntags = ["{sh}"]', "repository[1].tags: '{sh}': there is no {sh}"),
        ('5000/quotes"', '5000/quotes"\ntags = ["a b"]', "repository[1].tags: 'a b' makes 'a b', which is not a tag"),
        ('"\n', '"\ncolour = 1\n', "repository[1].colour: unknown key"),
        ("[[repository]]", "[repository]", "repository: write [[repository]]"),
        ("[[repository]]", "[agent]\nworkers = 0\n[[repository]]", "agent.workers: 0 is not between 1 and 64"),
        ("[[repository]]", "[agent]\nworkers = true\n[[repository]]", "agent.workers: expected an integer"),
        ("[[repository]]", "[agent]\nwrokers = 1\n[[repository]]", "agent.wrokers: unknown key"),
        ("[[repository]]", "[[repository", "not TOML: "),
    ],
)
def test_a_mistake_is_told_with_its_file_and_key(old: str, new: str, says: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse(LEAST.replace(old, new, 1), filename="agent.toml", secret_files={"/empty": b" \n"})
    assert str(caught.value).startswith(f"agent.toml: {says}")
    assert caught.value.remedy == "docs/agent.md has a whole example."


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "name: required, but missing"),
        ('name = "a b"', "name: invalid container name 'a b'"),
        ('name = "web.next"', "name: the name 'web.next' ends with .next"),
        ('name = "web"\npublish = ["a:b"]', "publish: 'a:b' does not say which port"),
        ('name = "web"\nenv = ["=x"]', "env: '=x' is not NAME=VALUE"),
        ('name = "web"\nvolumes = ["./x:/x"]', "volumes: the volume './x:/x' is relative"),
        ('name = "web"\nmemory = "lots"', "memory: invalid memory 'lots'"),
        ('name = "web"\ncpus = "-1"', "cpus: invalid number of CPUs '-1'"),
        ('name = "web"\nrestart = "often"', "restart: invalid restart policy 'often'"),
        ('name = "web"\nprobe = "https://x/"', "probe: 'https://x/' is not an http:// address"),
        ('name = "web"\nprobe = "http://x:99999/"', "probe: 'http://x:99999/' is not an http:// address"),
        ('name = "web"\nready_within = 0', "ready_within: 0 is not between 1 and 3600 seconds"),
        ('name = "web"\nready_within = "1"', "ready_within: expected an integer"),
    ],
)
def test_a_mistake_in_the_deployment_is_found_before_anything_is_built(line: str, says: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse(f"{LEAST}\n[repository.deploy]\n{line}\n", filename="agent.toml", secret_files={})
    assert str(caught.value).startswith(f"agent.toml: repository[1].deploy.{says}")


def test_a_repository_or_an_app_that_stands_twice_is_refused() -> None:
    deploy = '[repository.deploy]\nname = "web"\n'
    with pytest.raises(InvalidConfig, match=r"repository\.name: acme/quotes stands twice"):
        parse(LEAST + LEAST.replace("acme", "ACME"), filename="f", secret_files={})
    with pytest.raises(InvalidConfig, match=r"repository\.deploy\.name: web stands twice"):
        parse(LEAST + deploy + LEAST.replace("acme", "other") + deploy, filename="f", secret_files={})


def test_an_empty_file_watches_nothing() -> None:
    with pytest.raises(InvalidConfig, match="there is none to watch"):
        parse("", filename="f", secret_files={})


def test_the_example_of_the_documentation_is_valid() -> None:
    """docs/agent.md, which every error of the configuration points to."""
    text = (Path(__file__).parent.parent.parent.parent / "docs/agent.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    config = parse(example, filename="agent.toml", secret_files={"/etc/estiba/hook": b"s"})
    assert config.repositories[0].deploy is not None
    assert config.repositories[0].deploy.probe == "http://127.0.0.1:8000/healthz"
