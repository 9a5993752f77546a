"""The flags of `estiba build`: those that do something, and those of `docker build` that do nothing here or not yet."""

from __future__ import annotations

from estiba.cli.parser import SUPPRESS
from estiba.errors import InvalidInput, NotThereYet
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

# Flags with a value, and flags without one, that are named when they are given.
_LATER = [
    "--annotation",
    "--attest",
    "--builder",
    "--cache-from",
    "--cache-to",
    "--call",
    "--cgroup-parent",
    "--cpu-period",
    "--cpu-quota",
    "-c",
    "--cpu-shares",
    "--cpuset-cpus",
    "--cpuset-mems",
    "--isolation",
    "-m",
    "--memory",
    "--memory-swap",
    "--no-cache-filter",
    "--policy",
    "--security-opt",
    "--shm-size",
    "--ssh",
    "--ulimit",
]
_LATER_SWITCHES = ["-D", "--debug", "--squash"]
# What may be said no to, for there is none.
_ATTESTATIONS = ("--provenance", "--sbom")
# How Docker's builder works inside; the result is the same.
_IGNORED_SWITCHES = ["--compress", "--disable-content-trust", "--force-rm", "--rm"]


_EPILOG = "`estiba build ls` lists the builds that were, `estiba build show [ID]` tells why a step was run again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("context", metavar="PATH", help="the directory with the files that the Dockerfile names; - is a tar on stdin")
    add("-t", "--tag", action="append", default=[], metavar="NAME", help="name the image (may be repeated)")
    add("-f", "--file", default="", help="the Dockerfile (PATH/Dockerfile; - is standard input)")
    add("--build-arg", action="append", default=[], metavar="NAME[=VALUE]", help="the value of an ARG")
    add("--build-context", action="append", default=[], metavar="NAME=PLACE", help="what --from=NAME means")
    add("--target", default="", metavar="STAGE", help="build this stage instead of the last")
    add("--label", action="append", default=[], metavar="NAME=VALUE", help="a label of the image")
    add("--secret", action="append", default=[], metavar="id=ID,src=FILE|env=VARIABLE", help="a secret for RUN")
    add("--network", default="default", metavar="NETWORK", help="the network of RUN: default, none or host")
    add("--allow", action="append", default=[], metavar="RIGHT", help="network.host: RUN --network=host may be used")
    add("--add-host", action="append", default=[], metavar="NAME:ADDRESS", help="a line of /etc/hosts in RUN")
    add("--userns", default="", metavar="auto|host", help="the ids of RUN: of its own, or the host's (the default)")
    add("--platform", default="", metavar="OS/ARCH", help="build for this platform")
    add("--no-cache", action="store_true", help="run every step")
    add("--explain", action="store_true", help="say of every step whether the cache had it, and why not")
    add("--require-cache", action="store_true", help="fail at the first step that the cache does not have")
    add("--on-error", default="", metavar="shell", help="shell: open one where a RUN fails, with all that it had")
    add("--pull", action="store_true", help="fetch the base images even if they are here")
    add("--timestamps", choices=("fixed", "preserve"), default="fixed", help="times of files (fixed: reproducible)")
    add("-q", "--quiet", action="store_true", help="print only the image ID")
    add("--progress", default="auto", metavar="TYPE", help="how progress is shown: auto, plain or quiet")
    add("--iidfile", default="", metavar="FILE", help="write the image ID to this file")
    add("--metadata-file", default="", metavar="FILE", help="write what was built as JSON to this file")
    add(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="type=TYPE,dest=PATH",
        help="oci, docker or tar file, or local directory",
    )
    add("--check", action="store_true", help="only check the Dockerfile; exit code 1 where there are warnings")
    add("--push", action="store_true", help="push the image's names afterwards")
    add("--load", action="store_true", help="keep the image in the store (it always is)")
    _add_others(parser)


def _add_others(parser: argparse.ArgumentParser) -> None:
    for name in _LATER:
        parser.add_argument(name, action="append", dest=f"later {name}", help=SUPPRESS)
    for name in _LATER_SWITCHES:
        parser.add_argument(name, action="store_true", dest=f"later {name}", help=SUPPRESS)
    for name in _ATTESTATIONS:
        parser.add_argument(name, dest=f"attestation {name}", help=SUPPRESS)
    for name in _IGNORED_SWITCHES:
        parser.add_argument(name, action="store_true", dest="ignored", help=SUPPRESS)


def check(arguments: argparse.Namespace) -> None:
    """Raises:
    NotThereYet: a flag of Docker's that Estiba knows and does not do yet. InvalidInput: what makes no sense.
    """
    for name, value in vars(arguments).items():
        kind, _, flag = name.partition(" ")
        if kind == "later" and value:
            raise NotThereYet(f"build {flag} is not there yet", remedy="`estiba build --help` shows what is.")
        if kind == "attestation" and value not in (None, "false"):
            raise NotThereYet(f"build {flag} is not there yet", remedy=f"Leave it out, or write {flag}=false.")
    if arguments.no_cache and arguments.require_cache:
        raise InvalidInput("--no-cache and --require-cache exclude each other", remedy="Leave one of them out.")
    if arguments.on_error not in ("", "shell"):
        raise InvalidInput(f"--on-error {arguments.on_error} is nothing that can be done", remedy="There is shell.")
    if arguments.progress not in ("auto", "plain", "quiet"):
        raise NotThereYet(f"--progress {arguments.progress} is not there yet", remedy="auto, plain and quiet are.")
