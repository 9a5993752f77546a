"""The settings of one run: the only reader of the environment.

Precedence: a flag before the command, then the environment, then the default for this user (ARCHITECTURE §5: root's
state lies in /var/lib/estiba, another user's in the XDG directories).
"""

from __future__ import annotations

import os

from estiba.errors import InvalidInput
from estiba.oci.platform import Platform
from estiba.values import NamedTuple

_LONGEST_PATH = 3072  # of the kernel's 4096 bytes: what lies below has names too
_WEEK = 7 * 24 * 3600.0


class Settings(NamedTuple):
    """Everything that comes from outside. Paths are absolute.

    `root` is the persistent store, `run` the state that a reboot forgets. `runtime` is ``estiba``, ``crun``, ``runc``
    or a path. `userns` is what a container without --userns gets ("": the host's ids). `credentials` is the file that
    `login` writes and Docker's tools share. `environment` is what a client passes on to others (proxies, terminal),
    never read again below. `volume_trash` is for how many seconds a removed volume can be taken back,
    `settle_after` for how many a monitor has nothing to do before it settles (0: its own choice).
    """

    root: str
    run: str
    runtime: str
    snapshotter: str
    userns: str
    platform: Platform
    credentials: str
    user_id: int
    debug: bool
    environment: dict[str, str]
    volume_trash: float = _WEEK
    settle_after: float = 0.0

    @property
    def is_root(self) -> bool:
        return self.user_id == 0


def read(
    environment: dict[str, str],
    *,
    root: str = "",
    run: str = "",
    runtime: str = "",
    snapshotter: str = "",
    insecure_registry: str = "",
    debug: bool = False,
) -> Settings:
    """Join flags (empty: not given) and `environment` into settings.

    Raises:
        InvalidInput: a path that no kernel takes, or a time that is none.
    """
    if insecure_registry:
        known = environment.get("ESTIBA_INSECURE_REGISTRIES", "")
        environment = environment | {"ESTIBA_INSECURE_REGISTRIES": f"{known},{insecure_registry}"}
    user_id = os.geteuid()
    home = environment.get("HOME") or "/"
    return Settings(
        root=_path(root or environment.get("ESTIBA_ROOT") or _default_root(environment, user_id, home)),
        run=_path(run or environment.get("ESTIBA_RUN") or _default_run(environment, user_id, home)),
        runtime=runtime or environment.get("ESTIBA_RUNTIME") or "estiba",
        snapshotter=snapshotter or environment.get("ESTIBA_SNAPSHOTTER") or "auto",
        # An ordinary user's containers have that user's ids in any case.
        userns=environment.get("ESTIBA_USERNS", "") if user_id == 0 else "",
        platform=Platform.of_machine(os.uname().machine),
        credentials=os.path.join(environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json"),
        user_id=user_id,
        debug=debug or bool(environment.get("ESTIBA_DEBUG")),
        environment=environment,
        volume_trash=_volume_trash(environment.get("ESTIBA_VOLUME_TRASH", "")),
        settle_after=_seconds("ESTIBA_SETTLE_AFTER", environment.get("ESTIBA_SETTLE_AFTER", "")),
    )


def _path(text: str) -> str:
    path = os.path.abspath(text)
    if "\0" in path or len(os.fsencode(path)) > _LONGEST_PATH:
        raise InvalidInput(f"{path[:40]!r}… cannot be a directory's path", remedy="Choose a shorter one.")
    return path


def _volume_trash(text: str) -> float:
    """Seconds of a time as people write it; what reads one is loaded only where one is given."""
    if not text:
        return _WEEK
    from estiba.engine.trash import parse_time

    try:
        return parse_time(text)
    except InvalidInput as error:
        raise InvalidInput(f"ESTIBA_VOLUME_TRASH: {error.message}", remedy=error.remedy) from None


def _seconds(name: str, text: str) -> float:
    """A number of seconds; 0 where none is given."""
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < _WEEK:
        raise InvalidInput(f"{name}: {text!r} is no number of seconds", remedy="Give one as 3 or 0.5.")
    return seconds


def _default_root(environment: dict[str, str], user_id: int, home: str) -> str:
    if user_id == 0:
        return "/var/lib/estiba"
    return os.path.join(environment.get("XDG_DATA_HOME") or os.path.join(home, ".local/share"), "estiba")


def _default_run(environment: dict[str, str], user_id: int, home: str) -> str:
    """Never below /tmp, where another user could make the directory first."""
    if user_id == 0:
        return "/run/estiba"
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{user_id}"
    if not os.access(runtime, os.W_OK):  # nobody logged in: a service, su, sudo -u
        runtime = environment.get("XDG_STATE_HOME") or os.path.join(home, ".local/state")
    return os.path.join(runtime, "estiba")
