"""The state of a stage while its instructions are lowered: its filesystem so far, its configuration, its variables."""

from __future__ import annotations

from collections.abc import Sequence

from estiba.dockerfile.errors import near
from estiba.dockerfile.expand import Expansion, ExpansionError, expand
from estiba.dockerfile.lexer import Statement
from estiba.dockerfile.scope import DEFAULT_PATH, Scope
from estiba.dockerfile.stages import Stage
from estiba.dockerfile.warnings import Warning
from estiba.graph.vertex import Operation, Vertex
from estiba.oci.image_config import History, ImageConfig, RunConfig
from estiba.oci.platform import Platform

COMMENT = "estiba"
"""The comment of a line of history that we wrote."""

_MOST_GROWTH = 1 << 20
"""How many characters more than were written a stage's words may become: the kernel takes no larger environment."""

_DEFAULT_SHELL = ("/bin/sh", "-c")


class StageState:
    """Begins as what the stage's base left, and is changed by each instruction in turn.

    `variables` is what an instruction sees: the image's environment and the arguments named by ARG, the later one
    winning. `arguments` are the stage's ARGs, with None for those without a value.
    """

    def __init__(
        self,
        *,
        stage: Stage,
        scope: Scope,
        escape: str,
        created: str,
        prefix: str,
        steps: int,
    ) -> None:
        self.stage = stage
        self.scope = scope
        self.created = created
        self._escape = escape
        self._prefix = prefix
        self._steps = steps
        self._step = 0
        self.vertex: Vertex
        self.platform: Platform
        self.run = RunConfig(working_dir="/")
        self.history: list[History] = []
        self.author = ""
        self.base_layers = 0
        self.layers = 0
        self.variables: dict[str, str] = {}
        self.arguments: dict[str, str | None] = {}
        self.warnings: list[Warning] = []
        self.has_cmd = False
        self.knows_base = True
        self.has_workdir = False
        self._growth = 0

    # How a stage begins

    def begin_empty(self, vertex: Vertex, platform: Platform) -> None:
        self.vertex, self.platform = vertex, platform
        self._set_default_path()

    def begin_with_image(self, vertex: Vertex, config: ImageConfig, *, is_known: bool = True) -> None:
        """The image's triggers have become instructions of this stage. What is not known may set any variable."""
        self.knows_base = is_known
        self.vertex, self.platform = vertex, config.platform
        self.run = config.run._replace(on_build=(), working_dir=config.run.working_dir or "/")
        self.history = list(config.history)
        self.author = config.author
        self.base_layers = len(config.diff_ids)
        self.variables = dict(config.run.environment)
        self._set_default_path()

    def begin_with_stage(self, other: StageState) -> None:
        self.vertex, self.platform = other.vertex, other.platform
        self.run = other.run._replace(on_build=())
        self.history = list(other.history)
        self.author = other.author
        self.base_layers, self.layers = other.base_layers, other.layers
        self.variables = dict(other.variables)
        self.arguments = dict(other.arguments)
        self.has_workdir = other.has_workdir
        self.knows_base = other.knows_base

    def _set_default_path(self) -> None:
        if "PATH" not in self.variables:
            self.set_environment("PATH", DEFAULT_PATH)

    # What instructions do with it

    @property
    def shell(self) -> tuple[str, ...]:
        return self.run.shell or _DEFAULT_SHELL

    def set_environment(self, name: str, value: str) -> None:
        """Set a variable of the image; one that is there keeps its place."""
        self.variables[name] = value
        entries = [entry for entry in self.run.env if entry.partition("=")[0] != name]
        place = next((i for i, entry in enumerate(self.run.env) if entry.partition("=")[0] == name), len(entries))
        entries.insert(place, f"{name}={value}")
        self.run = self.run._replace(env=tuple(entries))

    def expand(self, at: Statement, text: str) -> str:
        """Replace the variables in `text` and take its quotes away.

        Raises:
            DockerfileError: what `expand` says, with its place.
        """
        return self._expansion(at, text).text

    def expand_words(self, at: Statement, text: str) -> tuple[str, ...]:
        """The same, split at blanks that are not quoted."""
        return self._expansion(at, text).words

    def expand_document(self, at: Statement, text: str) -> str:
        """Replace the variables in a here-document, in which quotes and the file's own escape mean nothing."""
        return self._expansion(at, text, escape="\\", keep_quotes=True).text

    def _expansion(self, at: Statement, text: str, *, escape: str = "", keep_quotes: bool = False) -> Expansion:
        try:
            expansion = expand(text, self.variables, escape=escape or self._escape, keep_quotes=keep_quotes)
        except ExpansionError as error:
            raise at.error(str(error), word=text) from None
        self._growth += max(0, len(expansion.text) - len(text))
        if self._growth > _MOST_GROWTH:
            raise at.error(f"the variables of this stage become more than {_MOST_GROWTH} characters", word=text)
        for name in sorted(expansion.unknown - self.arguments.keys()) if self.knows_base else ():
            hint = near(name, self.variables)
            self.warn("UndefinedVar", f"the variable {name} is not set" + (f". {hint}" if hint else ""), at)
        return expansion

    def warn(self, rule: str, message: str, at: Statement) -> None:
        self.warnings.append(at.warning(rule, message))

    def record(self, text: str, *, has_layer: bool = False) -> None:
        """Add a line of history."""
        self.history.append(History(self.created, text, COMMENT, "", not has_layer))
        self.layers += has_layer

    def step(self, operation: Operation, sources: Sequence[Vertex], *, at: Statement, text: str, history: str) -> None:
        """Add a step on top of the filesystem so far."""
        inputs = (self.vertex, *sources)
        self.vertex = Vertex.of(
            operation,
            inputs,
            name=self.step_name(text),
            stage=self.stage.title,
            line=at.line,
            source=at.text,
        )
        self.record(history, has_layer=True)

    def step_name(self, text: str) -> str:
        """A step's name for progress, such as ``[build 2/5] RUN make``."""
        self._step += 1
        width = len(str(self._steps))
        return f"[{self._prefix}{self._step:>{width}}/{self._steps}] {text}"
