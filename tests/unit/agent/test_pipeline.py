"""From an event to a job, and from a job to the names of its image."""

from __future__ import annotations

import pytest

from estiba.agent.config import AgentConfig, Repository
from estiba.agent.events import Ignored, Push
from estiba.agent.pipeline import Job, image_names, job_for

REPOSITORY = Repository(
    "acme/quotes",
    "/srv/quotes.git",
    "feature/a b",
    b"s",
    ".",
    "Dockerfile",
    "localhost:5000/quotes",
    ("latest",),
    (),
    (),
    None,
)
CONFIG = AgentConfig((REPOSITORY,))
HEAD = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("event", "job"),
    [
        (Push("Acme/Quotes", "feature/a b", HEAD, "words"), Job("acme/quotes", "feature/a b", HEAD, "words")),
        (
            Push("acme/quotes", "main", HEAD),
            Ignored("acme/quotes", "the branch main is not watched (feature/a b is)"),
        ),
        (Push("acme/other", "main", HEAD), Ignored("acme/other", "acme/other is not in the configuration")),
        (Ignored("acme/quotes", "because"), Ignored("acme/quotes", "because")),
    ],
)
def test_only_a_head_of_the_watched_branch_is_a_job(event, job) -> None:
    assert job_for(event, CONFIG) == job


def test_names_come_from_templates_in_their_order_and_each_once() -> None:
    templates = ("latest", "{sha}", "{short_sha}", "{branch}-1", "latest", "v-{short_sha}")
    names = image_names(REPOSITORY._replace(tags=templates), Job("acme/quotes", "feature/a b", HEAD))
    assert [str(name) for name in names] == [
        "localhost:5000/quotes:latest",
        f"localhost:5000/quotes:{HEAD}",
        "localhost:5000/quotes:0123456789ab",
        "localhost:5000/quotes:feature-a-b-1",
        "localhost:5000/quotes:v-0123456789ab",
    ]
