"""Dockerfiles: text → statements → instructions → stages → steps. Pure: nothing here reads a file or runs anything.

document = parse(text, filename="Dockerfile")
staged = stages(document)
missing = bases_needed(staged, build_args={}, platform=platform, bases=bases)
lowered = lower(staged, build_args={}, platform=platform, bases=bases)
"""

from __future__ import annotations

from estiba.dockerfile.errors import DockerfileError, NotYetInDockerfile
from estiba.dockerfile.lower import EPOCH_1980, Lowered, bases_needed, lower
from estiba.dockerfile.parse import Document, parse
from estiba.dockerfile.stages import Stage, Stages, stages
from estiba.dockerfile.warnings import Warning

__all__ = [
    "EPOCH_1980",
    "DockerfileError",
    "Document",
    "Lowered",
    "NotYetInDockerfile",
    "Stage",
    "Stages",
    "Warning",
    "bases_needed",
    "lower",
    "parse",
    "stages",
]
