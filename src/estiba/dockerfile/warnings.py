"""Warnings: what is allowed but probably not meant. The names are those of Docker's build checks, and so are the rules.

docs/build-checks.md has a section for each rule of the table; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from estiba.values import NamedTuple

OPTIONS_ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that says what ``# check=`` says, and wins over it."""

_ADDRESS = "https://docs.docker.com/go/dockerfile/rule/"


class Rule(NamedTuple):
    """`summary` says what is right; an experimental rule counts only where a file asks for it; `page` is Docker's."""

    summary: str
    page: str = ""
    is_experimental: bool = False

    @property
    def address(self) -> str:
        return f"{_ADDRESS}{self.page}/" if self.page else ""


RULES: Mapping[str, Rule] = {
    "ConsistentInstructionCasing": Rule("one file writes its keywords in one case", "consistent-instruction-casing"),
    "CopyIgnoredFile": Rule("COPY names nothing that .dockerignore hides", "copy-ignored-file", is_experimental=True),
    "DuplicateStageName": Rule("two stages have two names", "duplicate-stage-name"),
    "EmptySource": Rule("a source of COPY is not empty once its variables are known"),
    "ExposeInvalidFormat": Rule("EXPOSE names ports of the container, no address", "expose-invalid-format"),
    "ExposeProtoCasing": Rule("the protocol of EXPOSE is in lower case", "expose-proto-casing"),
    "FromAsCasing": Rule("FROM and AS are in one case", "from-as-casing"),
    "FromPlatformFlagConstDisallowed": Rule("--platform of FROM is a variable", "from-platform-flag-const-disallowed"),
    "InvalidBaseImagePlatform": Rule("the base image is for the platform that is built for"),
    "InvalidDefaultArgInFrom": Rule("the defaults alone make the name of a base image", "invalid-default-arg-in-from"),
    "InvalidDefinitionDescription": Rule(
        "a comment right above FROM or ARG describes it", "invalid-definition-description", is_experimental=True
    ),
    "JSONArgsRecommended": Rule("CMD and ENTRYPOINT are lists, so that signals arrive", "json-args-recommended"),
    "LegacyKeyValueFormat": Rule("ENV and LABEL have an equals sign", "legacy-key-value-format"),
    "MaintainerDeprecated": Rule("a label says who maintains the image", "maintainer-deprecated"),
    "MultipleInstructionsDisallowed": Rule(
        "a stage has one CMD, one ENTRYPOINT, one HEALTHCHECK", "multiple-instructions-disallowed"
    ),
    "NoEmptyContinuation": Rule("no line of a continuation is empty", "no-empty-continuation"),
    "RedundantTargetPlatform": Rule("--platform=$TARGETPLATFORM is left out", "redundant-target-platform"),
    "ReservedStageName": Rule("no stage is called scratch or context", "reserved-stage-name"),
    "SecretsUsedInArgOrEnv": Rule("ARG and ENV hold no secret", "secrets-used-in-arg-or-env"),
    "StageNameCasing": Rule("names of stages are in lower case", "stage-name-casing"),
    "UndefinedArgInFrom": Rule("FROM uses arguments that stand before it", "undefined-arg-in-from"),
    "UndefinedVar": Rule("a variable is set before it is used", "undefined-var"),
    "WorkdirRelativePath": Rule("the first WORKDIR of a stage is absolute", "workdir-relative-path"),
}


class Warning(NamedTuple):  # noqa: A001 - the word of the field
    """`rule` is a name of the table; lines count from 1, and `last_line` (0: the same) ends what it is about."""

    rule: str
    message: str
    line: int
    last_line: int = 0


class CheckOptions(NamedTuple):
    """What the directive ``# check=skip=RULE,RULE;error=true;experimental=RULE`` asks for; "all" is every rule."""

    skipped: frozenset[str] = frozenset()
    are_errors: bool = False
    experimental: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> CheckOptions:
        """Read the directive's value; options that it does not know change nothing."""
        skipped: frozenset[str] = frozenset()
        experimental: frozenset[str] = frozenset()
        are_errors = False
        for option in text.split(";"):
            name, _, value = option.partition("=")
            if name.strip().lower() == "skip":
                skipped = _names(value)
            elif name.strip().lower() == "experimental":
                experimental = _names(value)
            elif name.strip().lower() == "error":
                are_errors = value.strip().lower() in ("true", "1")
        return cls(skipped, are_errors, experimental)

    def kept(self, warnings: Iterable[Warning]) -> tuple[Warning, ...]:
        """The warnings that count, each once, in the order of the file."""
        kept = [warning for warning in dict.fromkeys(warnings) if self._counts(warning.rule)]
        return tuple(sorted(kept, key=lambda warning: warning.line))

    def _counts(self, rule: str) -> bool:
        if self.skipped & {"all", rule.lower()}:
            return False
        return not RULES[rule].is_experimental or bool(self.experimental & {"all", rule.lower()})


def _names(text: str) -> frozenset[str]:
    return frozenset(rule.strip().lower() for rule in text.split(","))
