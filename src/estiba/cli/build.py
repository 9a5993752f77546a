"""`estiba build`: from a Dockerfile to an image."""

from __future__ import annotations

import os
import signal
import sys

from estiba.cli.build_flags import add_arguments, check
from estiba.errors import CommandFailed, InvalidInput, NotFound, NotThereYet
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from estiba.builder.context.elsewhere import Elsewhere
    from estiba.builder.failures import StepFailed
    from estiba.builder.request import BuildRequest, BuildResult, BuildSurroundings
    from estiba.cli.build_context import Sources
    from estiba.cli.build_named_contexts import NamedContexts
    from estiba.cli.build_output import Exports
    from estiba.graph.cancellation import Cancellation
    from estiba.wiring.house import House

__all__ = ["add_arguments", "member", "run"]

_ABOUT_BUILDS = {
    "ls": ("build_ls", "List the builds that were"),
    "shell": ("build_shell", "Open a shell in the files of a step of a build that is over"),
    "show": ("build_show", "Show a build, and why each of its steps was run or was not"),
}

_NETWORKS = {"default": "bridge", "bridge": "bridge", "host": "host", "none": "none"}


def member(name: str) -> tuple[str, str] | None:
    """The module and the summary of a command about builds that were; a directory of that name is written ``./ls``."""
    return _ABOUT_BUILDS.get(name)


def run(arguments: argparse.Namespace, house: House) -> int:
    """Build; gives 0, or raises what went wrong."""
    from estiba.cli.build_context import Context
    from estiba.cli.build_output import Exports
    from estiba.graph.cancellation import Cancellation, Cancelled

    check(arguments)
    if arguments.check:
        return _check(arguments, house)
    exports = Exports.parse(arguments.output)
    if (arguments.push or exports.pushes) and not arguments.tag:
        raise InvalidInput("there is no name to push", remedy="Name the image with --tag.")
    if arguments.iidfile:
        _remove(arguments.iidfile)  # as Docker does: after a failure there is none, rather than an old one
    cancellation = Cancellation()
    signals = _Signals(cancellation)
    elsewhere = _elsewhere(arguments, house, cancellation)
    try:
        with (
            Context(arguments.context, arguments.file, house.store.scratch, elsewhere) as sources,
            _contexts(arguments, house, elsewhere) as contexts,
        ):
            request = _request(arguments, house, sources, exports)._replace(contexts=contexts)
            _build(request, exports, arguments, house, cancellation)
    except Cancelled:
        signals.explain()
        raise
    return 0


def _check(arguments: argparse.Namespace, house: House) -> int:
    """Show what is probably not meant; gives 1 where there is something."""
    from estiba.builder.checking import check as findings_of
    from estiba.cli.build_check import show
    from estiba.cli.build_context import Context
    from estiba.cli.build_output import Exports
    from estiba.graph.cancellation import Cancellation

    elsewhere = _elsewhere(arguments, house, Cancellation())
    with (
        Context(arguments.context, arguments.file, house.store.scratch, elsewhere) as sources,
        _contexts(arguments, house, elsewhere) as contexts,
    ):
        request = _request(arguments, house, sources, Exports.parse(()))._replace(contexts=contexts)
        findings = findings_of(request, house.store)
    show(findings, sys.stdout)
    return 1 if findings.warnings else 0


def _surroundings(arguments: argparse.Namespace, house: House) -> BuildSurroundings:
    """Raises:
    InvalidInput: a shell is to be opened, and nobody is there to use it.
    """
    if not arguments.on_error:
        return house.build_surroundings
    from estiba.engine.terminal import require_terminal

    require_terminal(0)
    require_terminal(1)

    def look(failure: StepFailed) -> tuple[str, ...]:
        print(f"estiba: {failure.message}", file=sys.stderr)
        print(
            "\nThis is a shell where it failed; what is changed here is dropped. `exit` ends the build.",
            file=sys.stderr,
        )
        sys.stderr.flush()
        return (f"TERM={house.settings.environment.get('TERM', 'dumb')}",)

    return house.build_surroundings._replace(on_failure=look)


def _explain(identifier: str, house: House, out: TextIO) -> None:
    from estiba.builder.record import BuildRecord
    from estiba.cli.build_record import explain
    from estiba.store.builds import NoSuchBuild

    try:
        record = BuildRecord.read(house.store.builds.get(identifier))
    except NoSuchBuild:
        return  # it did not come to its first step
    explain(record, out)
    out.flush()


def _build(
    request: BuildRequest,
    exports: Exports,
    arguments: argparse.Namespace,
    house: House,
    cancellation: Cancellation,
) -> None:
    from estiba.builder.build import build, new_identifier
    from estiba.cli.build_progress import PlainProgress, QuietProgress
    from estiba.cli.transfers import Lines

    quiet = arguments.quiet or arguments.progress == "quiet"
    progress = QuietProgress() if quiet else PlainProgress(sys.stderr)
    identifier = new_identifier()
    try:
        result = build(
            request,
            store=house.store,
            surroundings=_surroundings(arguments, house),
            images=house.images_told_by(None if quiet else Lines(sys.stderr)),
            progress=progress,
            cancellation=cancellation,
            identifier=identifier,
        )
    finally:
        if arguments.explain:
            _explain(identifier, house, sys.stderr if exports.uses_standard_output else sys.stdout)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    exports.write(house, result, request.tags, cancellation=cancellation)
    if arguments.push or exports.pushes:
        _push(house, request.tags, quiet=quiet or exports.uses_standard_output)
    if arguments.iidfile:
        _write(arguments.iidfile, str(result.image_id))
    if arguments.metadata_file:
        _write(arguments.metadata_file, _metadata(house, result, request.tags))
    if arguments.quiet and not exports.uses_standard_output:
        print(result.image_id)
    else:
        progress.finished(str(result.image_id), [tag.familiar for tag in request.tags])


def _elsewhere(arguments: argparse.Namespace, house: House, cancellation: Cancellation) -> Elsewhere:
    from estiba.builder.context.elsewhere import Elsewhere

    def tell(words: str) -> None:
        if not arguments.quiet and arguments.progress != "quiet":
            print(words, file=sys.stderr, flush=True)

    keeps = dict(each.partition("=")[::2] for each in arguments.build_arg).get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "")
    return Elsewhere(house.settings.environment, cancellation, tell, keeps.lower() in ("1", "true"))


def _contexts(arguments: argparse.Namespace, house: House, elsewhere: Elsewhere) -> NamedContexts:
    from estiba.cli.build_named_contexts import NamedContexts

    return NamedContexts(arguments.build_context, house.store, _platform(arguments.platform, house), elsewhere)


class _Signals:
    """The first SIGINT or SIGTERM gives the build up, so that it can clean up; the second ends this process."""

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        self._number = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    def _take(self, number: int, _frame: object) -> None:
        self._number = number
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        self._cancellation.set()

    def explain(self) -> None:
        """Raises:
        CommandFailed: a signal was why, with the exit code that a shell gives to it.
        """
        if self._number:
            raise CommandFailed("the build was cancelled", exit_code=128 + self._number) from None


def _push(house: House, names: tuple[Reference, ...], *, quiet: bool) -> None:
    from estiba.cli.push import push_names
    from estiba.cli.transfers import Lines, Mute

    push_names(house, names, progress=Mute(sys.stdout) if quiet else Lines())


def _metadata(house: House, result: BuildResult, names: tuple[Reference, ...]) -> str:
    """The fields that Docker's builders write, as far as they are known: an image that never travelled has no
    manifest."""
    import json

    fields: dict[str, str] = {"containerimage.config.digest": str(result.image_id)}
    record = house.store.images.get(result.image_id)
    if record is not None and record.manifest is not None:
        fields["containerimage.digest"] = str(record.manifest)
    if names:
        fields["image.name"] = ",".join(str(name) for name in names)
    return json.dumps(fields, indent=2) + "\n"


def _write(path: str, text: str) -> None:
    """Write a file that appears whole or not at all."""
    partial = f"{path}.partial.{os.getpid()}"
    try:
        with open(partial, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, path)
    except OSError as error:
        _remove(partial)
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _request(arguments: argparse.Namespace, house: House, sources: Sources, exports: Exports) -> BuildRequest:
    from estiba.builder.request import EPOCH, BuildRequest

    environment = house.settings.environment
    return BuildRequest(
        context=sources.directory,
        dockerfile=sources.dockerfile,
        filename=sources.filename,
        ignore=sources.ignore,
        platform=_platform(arguments.platform, house),
        tags=tuple(dict.fromkeys((*map(_tag, arguments.tag), *exports.names))),
        target=arguments.target,
        build_args=dict(_build_args(arguments.build_arg, environment)),
        labels=tuple(_pair(each, "--label") for each in arguments.label),
        secrets=dict(_secret(each, environment) for each in arguments.secret),
        network=_network(arguments.network),
        allows_host_network=arguments.network == "host" or _allows_host_network(arguments.allow),
        extra_hosts=tuple(_host(each) for each in arguments.add_host),
        uses_cache=not arguments.no_cache,
        requires_cache=arguments.require_cache,
        pulls=arguments.pull,
        epoch=EPOCH if arguments.timestamps == "fixed" else None,
        workers=max(2, os.cpu_count() or 1),
        own_ids=_own_ids(arguments.userns, house),
    )


def _platform(text: str, house: House) -> Platform:
    if "," in text:
        raise NotThereYet("build --platform with several platforms is not there yet", remedy="Build them one by one.")
    return Platform.parse(text) if text else house.settings.platform


def _network(name: str) -> str:
    if name not in _NETWORKS:
        raise NotThereYet(
            f"build --network {name}: networks of your own are not there yet in a build",
            remedy="There are default, none and host.",
        )
    return _NETWORKS[name]


def _own_ids(text: str, house: House) -> int | None:
    if not text:
        return None
    from estiba.engine.userns import ids_of_steps

    number = ids_of_steps(text)
    if number and not house.settings.is_root:
        raise InvalidInput(f"--userns={text} takes root", remedy="Leave it out: RUN has this user's ids anyway.")
    return number


def _allows_host_network(rights: list[str]) -> bool:
    for right in rights:
        if right != "network.host":
            raise NotThereYet(f"build --allow {right} is not there yet", remedy="There is network.host.")
    return bool(rights)


def _host(word: str) -> str:
    """``NAME:ADDRESS`` (or with ``=``) as NAME:ADDRESS."""
    separator = min((word.find(each) for each in ":=" if each in word), default=-1)
    name, address = word[:separator], word[separator + 1 :].strip("[]")
    if address == "host-gateway":
        raise NotThereYet("--add-host with host-gateway is not there yet", remedy="Give the address.")
    if separator < 1 or not address or not all(each in "0123456789abcdefABCDEF.:" for each in address):
        raise InvalidInput(f"--add-host {word}: no name and address", remedy="Write --add-host NAME:ADDRESS.")
    return f"{name}:{address}"


def _tag(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise InvalidInput(f"--tag {text}: an image that is yet to be built has no digest", remedy="Leave out @…")
    return reference.tagged


def _build_args(words: list[str], environment: dict[str, str]) -> list[tuple[str, str]]:
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            found.append((name, value))
        elif name in environment:
            found.append((name, environment[name]))
    return found


def _pair(word: str, flag: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if not name:
        raise InvalidInput(f"{flag} {word}: no name", remedy=f"Write {flag} NAME=VALUE.")
    return name, value


def _secret(word: str, environment: dict[str, str]) -> tuple[str, bytes]:
    fields = dict(field.partition("=")[::2] for field in word.split(","))
    identifier = fields.get("id", "")
    source = fields.get("src", fields.get("source", ""))
    variable = fields.get("env", "")
    if not identifier:
        raise InvalidInput(f"--secret {word}: no id", remedy="Write --secret id=ID,src=FILE or id=ID,env=VARIABLE.")
    if variable or (not source and identifier in environment):
        name = variable or identifier
        if name not in environment:
            raise NotFound(f"--secret {word}: the variable {name} is not set")
        return identifier, os.fsencode(environment[name])
    try:
        with open(source or identifier, "rb") as file:
            return identifier, file.read()
    except OSError as error:
        raise NotFound(f"--secret {word}: cannot read {source or identifier}: {error.strerror}") from None
