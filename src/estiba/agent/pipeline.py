"""From an event and the configuration to a job, or to the reason why there is none. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from estiba.agent.config import AgentConfig, Repository
from estiba.agent.events import Event, Ignored, Push
from estiba.oci.reference import Reference

_NOT_IN_A_TAG = re.compile(r"[^A-Za-z0-9._-]")


class Job(NamedTuple):
    """One head of one branch to be built: `commit` of `branch` of `repository`."""

    repository: str
    branch: str
    commit: str
    message: str = ""


def job_for(event: Event, config: AgentConfig) -> Job | Ignored:
    """What an event makes to be done."""
    if isinstance(event, Ignored):
        return event
    repository = config.find(event.repository)
    if repository is None:
        return Ignored(event.repository, f"{event.repository} is not in the configuration")
    if event.branch != repository.branch:
        return Ignored(event.repository, f"the branch {event.branch} is not watched ({repository.branch} is)")
    return _job(event, repository)


def _job(push: Push, repository: Repository) -> Job:
    return Job(repository.name, push.branch, push.commit, push.message)


def image_names(repository: Repository, job: Job) -> tuple[Reference, ...]:
    """The names that the image of a job gets, in the order of the configuration."""
    values = {
        "sha": job.commit,
        "short_sha": job.commit[:12],
        "branch": _NOT_IN_A_TAG.sub("-", job.branch).lstrip(".-")[:128] or "branch",
    }
    base = Reference.parse(repository.image)
    return tuple(base._replace(tag=template.format_map(values)) for template in repository.tags)
