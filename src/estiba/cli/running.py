"""What `estiba run` does once its monitor is on the way: find the image, make the container, stay with it."""

from __future__ import annotations

import os
import sys

from estiba.cli.container_flags import container_options
from estiba.engine.engine import Attachment
from estiba.engine.relay import Ends, relay
from estiba.engine.terminal import DETACH, parse_detach_keys, require_terminal, size_of
from estiba.errors import AlreadyExists, InvalidInput
from estiba.oci.platform import Platform
from estiba.store.images import ImageNotFound
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.engine.launch import PendingMonitor
    from estiba.engine.options import ContainerOptions
    from estiba.store.images import ImageRecord
    from estiba.wiring.house import House


def run_container(arguments: argparse.Namespace, house: House, pending: PendingMonitor) -> int:
    """Gives the container's exit code; 0 for a detached one."""
    options = container_options(arguments, house.settings.environment)
    if options.attached and arguments.detach:
        raise InvalidInput("conflicting options: --attach and --detach", remedy="Leave one of them out.")
    keys = parse_detach_keys(arguments.detach_keys) if arguments.detach_keys is not None else DETACH
    if options.tty and options.interactive and not arguments.detach:
        require_terminal(0)
    with CidFile(arguments.cidfile) as cidfile:
        image = find_image(arguments, options, house)
        attachment = _attachment(options, is_detached=arguments.detach)
        record, connection = house.engine.run_new(options, image, pending, attachment)
        cidfile.write(record.id)
    if arguments.detach:
        print(record.id)
        return 0
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC) if options.attached else -1
    if options.attached and not {"stdout", "stderr"} & set(options.attached):
        print(record.id, flush=True)
    ends = Ends(
        input=0 if _gives_input(options) else -1,
        output=1 if _attaches(options, "stdout") else nowhere,
        error=2 if _attaches(options, "stderr") else nowhere,
        raw=options.tty and os.isatty(0) and _attaches(options, "stdin"),
        detach_keys=keys if options.tty else b"",
        passes_signals=arguments.sig_proxy,
    )
    outcome = relay(connection, ends)
    return 0 if outcome.exit_code is None else outcome.exit_code


def find_image(arguments: argparse.Namespace, options: ContainerOptions, house: House) -> ImageRecord:
    """The image, pulled where the policy asks for it.

    Raises:
        ImageNotFound: it is not here, and may not or could not be pulled.
    """
    policy = arguments.pull or "missing"
    if policy not in ("always", "missing", "never"):
        raise InvalidInput(f"invalid pull policy {policy!r}", remedy="Choose always, missing or never.")
    platform = Platform.parse(options.platform) if options.platform else house.settings.platform
    if policy != "always":
        try:
            return _find_here(options, platform, house)
        except ImageNotFound:
            if policy == "never":
                raise
    from estiba.cli.transfers import shown_beside
    from estiba.oci.reference import Reference

    reference = Reference.parse(options.image)
    if policy == "missing" and not arguments.quiet:
        print(f"Unable to find image '{reference.familiar}' locally", file=sys.stderr, flush=True)
    with shown_beside(quiet=arguments.quiet) as progress:
        image_id = house.images_told_by(progress).find(reference, platform, pulls=policy == "always")
    record = house.store.images.get(image_id)
    if record is None:
        raise ImageNotFound(options.image)
    return record


def _find_here(options: ContainerOptions, platform: Platform, house: House) -> ImageRecord:
    """The image of this store; where a platform is asked for, only of that one."""
    record = house.store.images.find(options.image)
    if options.platform:
        here = house.store.images.config(record.id).platform
        if (here.os, here.architecture) != (platform.os, platform.architecture):
            raise ImageNotFound(f"{options.image} for {platform} (here it is for {here})")
    return record


class CidFile:
    """The file of `--cidfile`: refused when it exists, and removed again when no container was made."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._is_written = False

    def __enter__(self) -> CidFile:
        if self._path:
            try:
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            except FileExistsError as error:
                raise AlreadyExists(
                    f"container ID file found: {self._path}", remedy="Remove it, or choose another --cidfile."
                ) from error
            except OSError as error:
                raise InvalidInput(
                    f"cannot write {self._path}: {error.strerror}", remedy="Choose another --cidfile."
                ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._path and not self._is_written:
            os.unlink(self._path)

    def write(self, container_id: str) -> None:
        if self._path:
            with open(self._path, "w", encoding="ascii") as file:
                file.write(container_id)
            self._is_written = True


def _attachment(options: ContainerOptions, *, is_detached: bool) -> Attachment:
    if is_detached:
        return Attachment(output=False)
    sys.stdout.flush()
    return Attachment(gives_input=_gives_input(options), size=size_of(0) if options.tty else None)


def _gives_input(options: ContainerOptions) -> bool:
    return options.interactive and _attaches(options, "stdin")


def _attaches(options: ContainerOptions, stream: str) -> bool:
    """Whether the command stays with one of the container's streams: with all, unless ``-a`` names some."""
    return not options.attached or stream in options.attached
