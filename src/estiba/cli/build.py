"""`estiba build`: from a Dockerfile to an image."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING

from estiba.errors import InvalidInput, NotFound, NotThereYet
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference

if TYPE_CHECKING:
    from estiba.builder.request import BuildRequest
    from estiba.wiring.house import House

_NETWORKS = {"default": "bridge", "bridge": "bridge", "host": "host", "none": "none"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("context", metavar="PATH", help="the directory with the files that the Dockerfile names")
    add("-t", "--tag", action="append", default=[], metavar="NAME", help="name the image (may be repeated)")
    add("-f", "--file", default="", help="the Dockerfile (PATH/Dockerfile; - is standard input)")
    add("--build-arg", action="append", default=[], metavar="NAME[=VALUE]", help="the value of an ARG")
    add("--target", default="", metavar="STAGE", help="build this stage instead of the last")
    add("--label", action="append", default=[], metavar="NAME=VALUE", help="a label of the image")
    add("--secret", action="append", default=[], metavar="id=ID,src=FILE|env=VARIABLE", help="a secret for RUN")
    add("--network", default="default", choices=sorted(_NETWORKS), help="the network of RUN")
    add("--add-host", action="append", default=[], metavar="NAME:ADDRESS", help="a line of /etc/hosts in RUN")
    add("--platform", default="", metavar="OS/ARCH", help="build for this platform")
    add("--no-cache", action="store_true", help="run every step")
    add("--pull", action="store_true", help="fetch the base images even if they are here")
    add("--timestamps", choices=("fixed", "preserve"), default="fixed", help="times of files (fixed: reproducible)")
    add("-q", "--quiet", action="store_true", help="print only the image ID")
    add("--progress", choices=("auto", "plain", "quiet"), default="auto", help="how progress is shown")
    add("--iidfile", default="", metavar="FILE", help="write the image ID to this file")
    add("-o", "--output", action="append", default=[], metavar="type=TYPE,dest=FILE", help="oci or docker archive")
    add("--push", action="store_true", help="push the image's names afterwards")
    add("--load", action="store_true", help="keep the image in the store (it always is)")


def run(arguments: argparse.Namespace, house: House) -> int:
    """Build; gives 0, or raises what went wrong."""
    from estiba.builder.build import build
    from estiba.cli.build_output import Exports
    from estiba.cli.build_progress import PlainProgress, QuietProgress
    from estiba.graph.cancellation import Cancellation

    if arguments.push and not arguments.tag:
        raise InvalidInput("--push needs a name to push", remedy="Give it with -t REGISTRY/NAME:TAG.")
    exports = Exports.parse(arguments.output)
    request = _request(arguments, house)
    quiet = arguments.quiet or arguments.progress == "quiet"
    progress = QuietProgress() if quiet else PlainProgress(sys.stderr)
    cancellation = Cancellation()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: cancellation.set())
    result = build(
        request,
        store=house.store,
        surroundings=house.build_surroundings,
        images=house.images,
        progress=progress,
        cancellation=cancellation,
    )
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    exports.write(house, result.image_id, request.tags)
    if arguments.iidfile:
        with open(arguments.iidfile, "w", encoding="ascii") as file:
            file.write(str(result.image_id))
    if arguments.quiet:
        print(result.image_id)
    else:
        progress.finished(str(result.image_id), [tag.familiar for tag in request.tags])
    if arguments.push:
        from estiba.cli.push import push_names

        push_names(house, request.tags, quiet=quiet)
    return 0


def _request(arguments: argparse.Namespace, house: House) -> BuildRequest:
    from estiba.builder.request import EPOCH, BuildRequest

    context = _context(arguments.context)
    text, filename = _dockerfile(arguments.file, context)
    environment = house.settings.environment
    return BuildRequest(
        context=context,
        dockerfile=text,
        filename=filename,
        ignore=_ignore(context, filename),
        platform=Platform.parse(arguments.platform) if arguments.platform else house.settings.platform,
        tags=tuple(_tag(text) for text in arguments.tag),
        target=arguments.target,
        build_args=dict(_build_args(arguments.build_arg, environment)),
        labels=tuple(_pair(each, "--label") for each in arguments.label),
        secrets=dict(_secret(each, environment) for each in arguments.secret),
        network=_NETWORKS[arguments.network],
        extra_hosts=tuple(arguments.add_host),
        uses_cache=not arguments.no_cache,
        pulls=arguments.pull,
        epoch=EPOCH if arguments.timestamps == "fixed" else None,
        workers=max(2, os.cpu_count() or 1),
    )


def _context(path: str) -> str:
    if path == "-" or "://" in path or path.startswith("git@"):
        raise NotThereYet(
            f"a build context from {'standard input' if path == '-' else 'an address'} is not there yet",
            remedy="Fetch it first, and give the directory.",
        )
    if not os.path.isdir(path):
        raise NotFound(f"the build context {path} is not a directory", remedy="Give the directory with the sources.")
    return os.path.realpath(path)


def _dockerfile(file: str, context: str) -> tuple[str, str]:
    """The text, and the path that errors name."""
    if file == "-":
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), "Dockerfile"
    path = file or os.path.join(context, "Dockerfile")
    if file and not os.path.isabs(file) and not os.path.exists(file):
        path = os.path.join(context, file)
    try:
        with open(path, "rb") as source:
            return source.read().decode("utf-8", "surrogateescape"), os.path.realpath(path)
    except FileNotFoundError:
        raise NotFound(
            f"there is no Dockerfile at {path}", remedy="Give its place with -f FILE; - reads it from standard input."
        ) from None
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a directory, not a Dockerfile", remedy="Give a file with -f.") from None


def _ignore(context: str, dockerfile: str) -> str:
    """`Dockerfile.dockerignore` beside the Dockerfile, else `.dockerignore` of the context."""
    for path in (f"{dockerfile}.dockerignore", os.path.join(context, ".dockerignore")):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return ""


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
