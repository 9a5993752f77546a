"""`estiba doctor`: what works on this machine, what does not, why, and what to do; 1 if something essential fails."""

from __future__ import annotations

from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from estiba.wiring.house import House

_MARKS = {"ok": "ok", "warn": "warn", "fail": "FAIL"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace, house: House) -> int:
    from estiba.engine.doctor import diagnose, has_failed
    from estiba.engine.machine_facts import gather

    settings = house.settings
    findings = diagnose(gather(root=settings.root, run=settings.run, is_root=settings.is_root))
    failed = has_failed(findings)
    if arguments.format == "json":
        import json

        print(json.dumps({"ok": not failed, "findings": [finding._asdict() for finding in findings]}, indent=2))
        return int(failed)
    for finding in findings:
        print(f"{_MARKS[finding.status]:<5} {finding.subject:<16} {finding.why}")
        if finding.remedy:
            print(f"{'':<22} -> {finding.remedy}")
    return int(failed)
