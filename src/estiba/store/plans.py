"""Plans of removals that somebody is to look at before they are applied: kept under ROOT/plans by an ID.

The ID is of the plan's content: the same plan has the same ID.
"""

from __future__ import annotations

import json
import os
import time

from estiba.errors import Corrupt, InvalidInput, NotFound
from estiba.oci.canonical_json import dumps
from estiba.oci.digest import Digest
from estiba.store.gc import Options, Plan, Removal
from estiba.store.paths import StorePaths
from estiba.store.scratch import Scratch, translated

_LIFE = 7 * 24 * 3600.0


class NoSuchPlan(NotFound):
    def __init__(self, identifier: str) -> None:
        super().__init__(f"there is no plan {identifier}", remedy="Make one with `estiba prune --plan`.")


class Plans:
    """Lives in a directory; a plan that was not applied is forgotten after a week."""

    def __init__(self, paths: StorePaths) -> None:
        self._directory = paths.plans
        self._scratch = Scratch(paths.tmp)

    def keep(self, plan: Plan, options: Options) -> str:
        """Keep a plan and what it was made with; gives its ID."""
        data = dumps({"options": options._asdict(), "removals": [list(removal) for removal in plan.removals]})
        identifier = Digest.of(data).hex[:12]
        path = self._path(identifier)
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._forget_old()
            self._scratch.publish(data, path)
        except OSError as error:
            raise translated(error, path) from error
        return identifier

    def get(self, identifier: str) -> tuple[Plan, Options, float]:
        """The plan `identifier`, what it was made with, and when it was kept first, in seconds since 1970.

        Raises:
            NoSuchPlan. InvalidInput: no ID. Corrupt: the file is damaged.
        """
        if not identifier.isalnum():
            raise InvalidInput(f"{identifier!r} is no ID of a plan", remedy="Give what `estiba prune --plan` printed.")
        path = self._path(identifier)
        try:
            with open(path, "rb") as file:
                made = os.fstat(file.fileno()).st_mtime
                value = json.load(file)
            return Plan(tuple(Removal(*row) for row in value["removals"])), Options(**value["options"]), made
        except FileNotFoundError:
            raise NoSuchPlan(identifier) from None
        except (ValueError, KeyError, TypeError):
            raise Corrupt(f"{path} is damaged", remedy="Make the plan again with `estiba prune --plan`.") from None

    def forget(self, identifier: str) -> None:
        try:
            os.unlink(self._path(identifier))
        except FileNotFoundError:
            pass

    def _path(self, identifier: str) -> str:
        return f"{self._directory}/{identifier}.json"

    def _forget_old(self) -> None:
        for entry in list(os.scandir(self._directory)):
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > _LIFE:
                os.unlink(entry.path)
