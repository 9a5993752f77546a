"""From an event and the configuration to a job, or to the reason why there is none. Pure."""

from __future__ import annotations

from typing import NamedTuple

from estiba.agent import tags
from estiba.agent.config import AgentConfig, Repository
from estiba.agent.events import Event, Ignored
from estiba.oci.reference import Reference


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
    return Job(repository.name, event.branch, event.commit, event.message)


def image_names(repository: Repository, job: Job) -> tuple[Reference, ...]:
    """The names that the image of a job gets, in the order of the configuration, each once."""
    base = Reference.parse(repository.image)
    filled = (tags.fill(template, commit=job.commit, branch=job.branch) for template in repository.tags)
    return tuple(base._replace(tag=tag) for tag in dict.fromkeys(filled))
