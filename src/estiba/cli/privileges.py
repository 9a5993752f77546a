"""What only root may do so far is refused at once, before anything is made or fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estiba.errors import NotThereYet

if TYPE_CHECKING:
    from estiba.wiring.settings import Settings


def require_root_for_containers(settings: Settings) -> None:
    """Raises NotThereYet for an ordinary user: containers without root are not there yet."""
    if not settings.is_root:
        raise NotThereYet(
            "running containers as an ordinary user is not there yet",
            remedy="Run it as root. Builds without RUN, images and all about registries need no root.",
        )
