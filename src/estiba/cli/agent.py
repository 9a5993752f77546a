"""`estiba agent serve | ls | show | logs | retry`: hear of new versions, build them, push them, update what runs."""

from __future__ import annotations

import argparse
import os
import sys
import time

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.agent.queue import JobRecord
    from estiba.wiring.house import House


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="serve|ls|show|logs|retry", required=True)
    serve = actions.add_parser("serve", help="serve webhooks until SIGTERM", allow_abbrev=False)
    serve.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT", help="port 0 is any free one")
    serve.add_argument("--config", required=True, metavar="FILE", help="which repositories to watch (TOML)")
    listing = actions.add_parser("ls", help="list the newest builds", allow_abbrev=False)
    listing.add_argument("-n", "--last", type=int, default=20, metavar="NUMBER", help="how many (20)")
    for name, text in (("show", "show one build"), ("logs", "what a build said"), ("retry", "build it again")):
        action = actions.add_parser(name, help=text, allow_abbrev=False)
        action.add_argument("build", type=int, metavar="BUILD", help="its number")


def run(arguments: argparse.Namespace, house: House) -> int:
    """Gives 0; of `serve`, after a signal."""
    from estiba.agent import serve as agent

    if arguments.action == "serve":
        return _serve(arguments, house)
    directory = house.store.paths.agent
    queue = agent.open_queue(directory)
    if arguments.action == "ls":
        _list(queue.latest(arguments.last))
    elif arguments.action == "show":
        _show(queue.get(arguments.build))
    elif arguments.action == "logs":
        _print_log(f"{agent.logs_of(directory)}/{queue.get(arguments.build).id}.log")
    else:
        queue.retry(arguments.build)
    return 0


def _serve(arguments: argparse.Namespace, house: House) -> int:
    from estiba.agent.serve import serve
    from estiba.cli.build_progress import PlainProgress
    from estiba.web.listen import Address
    from estiba.wiring.agent import agent_work, read_config

    config = read_config(arguments.config)
    directory = house.store.paths.agent
    has_stopped = serve(
        config,
        listen=Address.parse(arguments.listen),
        directory=directory,
        work=agent_work(house, directory=directory, progress=PlainProgress),
        announce=lambda url: print(f"listening on {url}", flush=True),
        say=_say,
    )
    if not has_stopped:
        os._exit(0)  # a thread of a build does not end; whatever it does may be cut
    return 0


def _say(line: str) -> None:
    """Tell whoever reads the standard error; the agent goes on when nobody does any more."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        pass


def _list(records: tuple[JobRecord, ...]) -> None:
    rows = [("BUILD", "REPOSITORY", "BRANCH", "COMMIT", "STATE", "CREATED", "MESSAGE")]
    rows += [
        (str(each.id), each.repository, each.branch, each.commit[:12], each.state, _time(each.created), each.message)
        for each in records
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _show(record: JobRecord) -> None:
    facts = {
        "build": str(record.id),
        "repository": record.repository,
        "branch": record.branch,
        "commit": record.commit,
        "message": record.message,
        "state": record.state,
        "attempts": str(record.attempts),
        "created": _time(record.created),
        "started": _time(record.started),
        "finished": _time(record.finished),
        "image": record.image,
        "error": record.error.replace("\n", "\n" + " " * 12),
    }
    for name, text in facts.items():
        if text:
            print(f"{name:<10}  {text}")


def _print_log(path: str) -> None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                sys.stdout.write(line)
    except FileNotFoundError:
        pass  # it has not begun


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""
