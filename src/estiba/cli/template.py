"""``--format`` templates: the part of Go's text/template that people use with Docker's tools.

``{{.Config.Env}}``, ``{{json .}}``, pipes, ``join``, ``len``, ``index``, ``upper``, ``lower``, ``title``, ``println``,
``{{range}}…{{else}}{{end}}`` and ``{{if}}…{{else if}}{{else}}{{end}}``. Anything else is named in an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from estiba.cli.printable import printable, printable_json
from estiba.errors import InvalidInput
from estiba.values import NamedTuple

_ACTION = re.compile(r"\{\{(- )?\s*(.*?)\s*( -)?\}\}", re.DOTALL)
_TOKEN = re.compile(r"""\s*(?:("(?:[^"\\]|\\.)*")|(`[^`]*`)|(-?\d+)|([^\s|()"`]+)|([|()]))""")
_ESCAPES = {"\\t": "\t", "\\n": "\n"}


class BadTemplate(InvalidInput):
    def __init__(self, template: str, problem: str) -> None:
        super().__init__(f"the template {template!r}: {problem}", remedy="For example: --format '{{.ID}} {{json .}}'.")


class _Text(NamedTuple):
    text: str


class _Print(NamedTuple):
    expression: str


class _Branch(NamedTuple):
    """``if`` or ``range``."""

    word: str
    expression: str
    body: Sequence[_Node]
    otherwise: Sequence[_Node]


_Node = _Text | _Print | _Branch


class Template:
    """A parsed template."""

    def __init__(self, text: str) -> None:
        """Raises BadTemplate."""
        for written, meant in _ESCAPES.items():
            text = text.replace(written, meant)
        self.text = text
        self._pieces = list(self._split(text))
        self._at = 0
        self._nodes = self._block(())

    def render(self, value: object) -> str:
        """The text for `value`, made of what JSON is made of. Raises BadTemplate: a field that `value` has not."""
        return "".join(self._run(self._nodes, value))

    def fields(self) -> Iterator[tuple[str, str | None]]:
        """The top level as (literal text, field name or None): for the heading of a table."""
        for node in self._nodes:
            if isinstance(node, _Text):
                yield node.text, None
            elif isinstance(node, _Print):
                found = re.findall(r"(?<![\w.])\.(\w+)", node.expression)
                yield "", found[0] if found else ""

    def _split(self, text: str) -> Iterator[tuple[bool, str]]:
        at = 0
        strip_next = False
        for match in _ACTION.finditer(text):
            literal = text[at : match.start()]
            literal = literal.lstrip() if strip_next else literal
            yield False, literal.rstrip() if match[1] else literal
            yield True, match[2]
            strip_next = bool(match[3])
            at = match.end()
        rest = text[at:]
        if "{{" in rest:
            raise BadTemplate(text, "an action is not closed with }}")
        yield False, rest.lstrip() if strip_next else rest

    def _block(self, until: tuple[str, ...]) -> list[_Node]:
        nodes: list[_Node] = []
        while self._at < len(self._pieces):
            is_action, text = self._pieces[self._at]
            word, _, rest = text.partition(" ")
            if is_action and word in until:
                return nodes
            self._at += 1
            if not is_action:
                if text:
                    nodes.append(_Text(text))
            elif text.startswith("/*"):
                continue
            elif word in ("if", "range"):
                nodes.append(self._branch(word, rest))
            elif word in ("end", "else"):
                raise BadTemplate(self.text, f"{{{{{word}}}}} without a beginning")
            elif word in ("with", "define", "template", "block", "break", "continue") or text.startswith("$"):
                raise BadTemplate(self.text, f"{word!r} is not there yet")
            elif not text:
                raise BadTemplate(self.text, "an empty action")
            else:
                nodes.append(_Print(text))
        if until:
            raise BadTemplate(self.text, "no {{end}}")
        return nodes

    def _branch(self, word: str, expression: str) -> _Branch:
        body = self._block(("end", "else"))
        _, text = self._pieces[self._at]
        self._at += 1
        otherwise: list[_Node] = []
        if text.startswith("else if "):
            otherwise = [self._branch("if", text.removeprefix("else if "))]
        elif text == "else":
            otherwise = self._block(("end",))
            self._at += 1
        return _Branch(word, expression, body, otherwise)

    def _run(self, nodes: Sequence[_Node], value: object) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, _Text):
                yield node.text
            elif isinstance(node, _Print):
                # The template is the user's; what it shows may be an image's.
                yield printable(go_text(self._evaluate(node.expression, value)), lines=True)
            else:
                yield from self._run_branch(node, value)

    def _run_branch(self, node: _Branch, value: object) -> Iterator[str]:
        found = self._evaluate(node.expression, value)
        if node.word == "if":
            yield from self._run(node.body if found else node.otherwise, value)
            return
        items: Iterable[object] = ()
        if isinstance(found, dict):
            items = [found[key] for key in sorted(found)]
        elif isinstance(found, (list, tuple)):
            items = found
        elif found is not None:
            raise BadTemplate(self.text, f"range over {node.expression}, which is no list")
        if not items:
            yield from self._run(node.otherwise, value)
        for item in items:
            yield from self._run(node.body, item)

    def _evaluate(self, expression: str, value: object) -> object:
        tokens = self._tokens(expression)
        result, rest = self._pipeline(tokens, value)
        if rest:
            raise BadTemplate(self.text, f"unexpected {rest[0]!r} in {expression!r}")
        return result

    def _tokens(self, expression: str) -> list[str]:
        tokens: list[str] = []
        at = 0
        while at < len(expression):
            match = _TOKEN.match(expression, at)
            if match is None:
                if expression[at:].strip():
                    raise BadTemplate(self.text, f"cannot read {expression[at:]!r}")
                break
            tokens.append(match[0].strip())
            at = match.end()
        return tokens

    def _pipeline(self, tokens: list[str], value: object) -> tuple[object, list[str]]:
        result, rest = self._command(tokens, value, ())
        while rest and rest[0] == "|":
            result, rest = self._command(rest[1:], value, (result,))
        return result, rest

    def _command(self, tokens: list[str], value: object, piped: tuple[object, ...]) -> tuple[object, list[str]]:
        if not tokens:
            raise BadTemplate(self.text, "an empty command")
        word, rest = tokens[0], tokens[1:]
        is_function = re.fullmatch(r"[a-z]\w*", word) is not None and word not in ("true", "false", "nil")
        arguments: list[object] = []
        if not is_function:
            rest = tokens
        while rest and rest[0] not in ("|", ")"):
            argument, rest = self._operand(rest, value)
            arguments.append(argument)
        if is_function:
            return self._call(word, [*arguments, *piped]), rest
        if len(arguments) != 1 or piped:
            raise BadTemplate(self.text, f"{word!r} is not a function")
        return arguments[0], rest

    def _operand(self, tokens: list[str], value: object) -> tuple[object, list[str]]:
        word, rest = tokens[0], tokens[1:]
        if word == "(":
            result, rest = self._pipeline(rest, value)
            if not rest or rest[0] != ")":
                raise BadTemplate(self.text, "a parenthesis is not closed")
            return result, rest[1:]
        if word.startswith('"'):
            return json.loads(word), rest
        if word.startswith("`"):
            return word[1:-1], rest
        if re.fullmatch(r"-?\d+", word):
            return int(word), rest
        if word in ("true", "false"):
            return word == "true", rest
        if word == "nil":
            return None, rest
        if word.startswith("."):
            return self._field(word, value), rest
        raise BadTemplate(self.text, f"unknown word {word!r}")

    def _field(self, path: str, value: object) -> object:
        for name in filter(None, path.split(".")):
            if value is None:
                return None
            if not isinstance(value, dict):
                raise BadTemplate(self.text, f"{path}: there is no field {name!r} in {go_text(value)[:60]!r}")
            if name not in value:
                raise BadTemplate(self.text, f"{path}: no field {name!r}; there are {', '.join(map(str, value))}")
            value = value[name]
        return value

    def _call(self, name: str, arguments: list[object]) -> object:
        try:
            return _call(name, arguments)
        except (TypeError, ValueError, IndexError, KeyError, LookupError) as error:
            raise BadTemplate(self.text, f"{name}: {error}") from None


def _call(name: str, arguments: list[object]) -> object:
    first = arguments[0] if arguments else None
    if name == "json":
        return printable_json(first)
    if name == "println":
        return " ".join(map(go_text, arguments)) + "\n"
    if name == "print":
        return "".join(map(go_text, arguments))
    if name in ("upper", "lower", "title"):
        return str(getattr(go_text(first), name)())
    if name == "len":
        return len(first) if isinstance(first, (str, list, tuple, dict)) else 0
    if name == "join" and isinstance(first, (list, tuple)):
        return go_text(arguments[1]).join(map(go_text, first))
    if name == "split":
        return go_text(first).split(go_text(arguments[1]))
    if name == "index":
        return _index(first, arguments[1:])
    if name in ("eq", "ne"):
        return (first in arguments[1:]) == (name == "eq")
    if name == "not":
        return not first
    if name in ("and", "or"):
        decisive = [argument for argument in arguments if bool(argument) == (name == "or")]
        return (decisive or arguments)[0 if decisive else -1]
    raise ValueError("there is no such function")


def _index(value: object, keys: list[object]) -> object:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, (list, tuple)) and isinstance(key, int):
            value = value[key]
        else:
            raise ValueError(f"cannot index {go_text(value)[:40]!r} with {key!r}")
    return value


def go_text(value: object) -> str:
    """A value as Go prints it: ``[a b]``, ``map[k:v]``, ``true``."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(go_text, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    return str(value)
