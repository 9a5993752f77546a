"""Lowering of the instructions that change only the image's configuration."""

from __future__ import annotations

import json
import re

from estiba.dockerfile.instructions import (
    Arg,
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    Health,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from estiba.dockerfile.lexer import Statement
from estiba.dockerfile.state import StageState

ConfigInstruction = (
    Arg | Cmd | Entrypoint | Env | Expose | Health | Label | Maintainer | Onbuild | Shell | StopSignal | User | Volume
)

_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([A-Za-z]+))?")
_PROTOCOLS = ("tcp", "udp", "sctp")
_SIGNAL = re.compile(r"(?:SIG)?([A-Z]+[0-9]?|RTM(?:IN|AX)(?:[+-][0-9]{1,2})?)", re.IGNORECASE)
_SIGNALS = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP"
    " TSTP TTIN TTOU UNUSED URG USR1 USR2 VTALRM WINCH XCPU XFSZ"
)


def lower_config(state: StageState, instruction: ConfigInstruction) -> None:
    """Change the configuration in `state`.

    Raises:
        DockerfileError: a value that makes no sense once its variables are expanded.
    """
    at = instruction.at
    match instruction:
        case Env():
            _env(state, instruction)
        case Arg():
            _arg(state, instruction)
        case Label():
            _label(state, instruction)
        case Cmd():
            words = _command(state, instruction.command, at)
            state.run = state.run._replace(cmd=words)
            state.has_cmd = True
            state.record(f"CMD {_json(words)}")
        case Entrypoint():
            words = _command(state, instruction.command, at)
            # An ENTRYPOINT makes the base's CMD meaningless, unless this stage has set its own.
            cmd = state.run.cmd if state.has_cmd else None
            state.run = state.run._replace(entrypoint=words or None, cmd=cmd)
            state.record(f"ENTRYPOINT {_json(words)}")
        case Expose():
            _expose(state, instruction)
        case Volume():
            _volume(state, instruction)
        case User():
            user = state.expand(at, instruction.name)
            state.run = state.run._replace(user=user)
            state.record(f"USER {user}")
        case Shell():
            state.run = state.run._replace(shell=instruction.words)
            state.record(f"SHELL {_json(instruction.words)}")
        case StopSignal():
            _stop_signal(state, instruction)
        case Health():
            state.run = state.run._replace(healthcheck=instruction.check)
            state.record(f"HEALTHCHECK {at.arguments}")
        case Maintainer():
            state.author = instruction.name
            state.record(f"MAINTAINER {instruction.name}")
        case Onbuild():
            state.run = state.run._replace(on_build=(*state.run.on_build, instruction.expression))
            state.record(f"ONBUILD {instruction.expression}")


def _env(state: StageState, instruction: Env) -> None:
    # Every value sees the variables as they were before the instruction.
    at = instruction.at
    pairs = [(state.expand(at, name), state.expand(at, value)) for name, value in instruction.pairs]
    for name, value in pairs:
        if not name:
            raise at.error("the name of a variable is empty")
        state.set_environment(name, value)
    state.record("ENV " + " ".join(f"{name}={value}" for name, value in pairs))


def _arg(state: StageState, instruction: Arg) -> None:
    # A later argument of the same line sees the earlier ones.
    texts: list[str] = []
    for name, default in instruction.arguments:
        value: str | None
        if name in state.scope.build_args:
            value = state.scope.build_args[name]
        elif default is not None:
            value = state.expand(instruction.at, default)
        else:
            value = state.scope.variables.get(name)
        state.arguments[name] = value
        if value is not None:
            state.variables[name] = value
        texts.append(name if value is None else f"{name}={value}")
    state.record("ARG " + " ".join(texts))


def _label(state: StageState, instruction: Label) -> None:
    at = instruction.at
    pairs = [(state.expand(at, name), state.expand(at, value)) for name, value in instruction.pairs]
    if any(not name for name, _ in pairs):
        raise at.error("the name of a label is empty")
    state.run = state.run._replace(labels=tuple({**dict(state.run.labels), **dict(pairs)}.items()))
    state.record("LABEL " + " ".join(f"{name}={value}" for name, value in pairs))


def _command(state: StageState, command: Command, at: Statement) -> tuple[str, ...]:
    if not command.shell_form:
        return command.words
    if state.run.shell is None:
        word = at.keyword.upper()
        message = f'the shell form of {word} keeps signals from the program; write {word} ["program", "argument"]'
        state.warn("JSONArgsRecommended", message, at)
    return (*state.shell, *command.words)


def _expose(state: StageState, instruction: Expose) -> None:
    at = instruction.at
    added = [
        port for text in instruction.ports for word in state.expand_words(at, text) for port in _ports(state, at, word)
    ]
    state.run = state.run._replace(exposed_ports=tuple(dict.fromkeys((*state.run.exposed_ports, *added))))
    state.record("EXPOSE " + " ".join(added))


def _ports(state: StageState, at: Statement, text: str) -> list[str]:
    host, _, port = text.rpartition(":")
    if host:
        state.warn("ExposeInvalidFormat", f"EXPOSE takes the container's port only; {host}: is ignored", at)
    match = _PORT.fullmatch(port)
    protocol = (match[3] or "tcp") if match else ""
    first = int(match[1]) if match else 0
    last = int(match[2] or first) if match else 0
    if not 0 < first <= last <= 65535 or protocol.lower() not in _PROTOCOLS:
        raise at.error(
            f"invalid port {text!r}", word=text, remedy="Write PORT, PORT/udp or FIRST-LAST, from 1 to 65535."
        )
    if protocol != protocol.lower():
        state.warn("ExposeProtoCasing", f"the protocol {protocol} should be in lower case", at)
    return [f"{number}/{protocol.lower()}" for number in range(first, last + 1)]


def _volume(state: StageState, instruction: Volume) -> None:
    at = instruction.at
    paths = [state.expand(at, path) for path in instruction.paths]
    if not all(paths):
        raise at.error("the path of a volume is empty")
    state.run = state.run._replace(volumes=tuple(dict.fromkeys((*state.run.volumes, *paths))))
    state.record("VOLUME " + " ".join(paths))


def _stop_signal(state: StageState, instruction: StopSignal) -> None:
    signal = state.expand(instruction.at, instruction.signal)
    match = _SIGNAL.fullmatch(signal)
    name = match[1].upper() if match else ""
    number = int(signal) if signal.isascii() and signal.isdigit() and len(signal) < 4 else 0
    if name not in _SIGNALS.split() and not name.startswith(("RTMIN", "RTMAX")) and not 0 < number <= 64:
        raise instruction.at.error(
            f"unknown signal {signal!r}",
            word=instruction.signal,
            remedy="Write a name such as SIGTERM or a number from 1 to 64.",
        )
    state.run = state.run._replace(stop_signal=signal)
    state.record(f"STOPSIGNAL {signal}")


def _json(words: tuple[str, ...]) -> str:
    return json.dumps(words, ensure_ascii=False)
