"""Image configurations: how to run an image and which layers it has (image-spec, config.md).

Fields that Estiba does not know are kept: a configuration is changed only by `replace`, which gives a new one.
"""

from __future__ import annotations

from estiba.oci.canonical_json import dumps
from estiba.oci.chain_id import chain_id
from estiba.oci.digest import Digest, InvalidDigest
from estiba.oci.json_fields import Fields, JsonObject, parse_object
from estiba.oci.platform import Platform
from estiba.values import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAXIMUM_SIZE = 8 * 1024 * 1024
"""The largest configuration in bytes that is read."""

EPOCH_1980 = "1980-01-01T00:00:00Z"


class HealthCheck(NamedTuple):
    """How a container tells that it is well (Docker's extension). Times in nanoseconds, 0: default."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(NamedTuple):
    """The `config` object: what a container of this image runs, and as whom.

    `entrypoint` and `cmd` are None where they are not set, which differs from empty. `labels`, `volumes` and
    `exposed_ports` keep the order of the document.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()
    healthcheck: HealthCheck | None = None

    @property
    def environment(self) -> dict[str, str]:
        """`env` as a mapping; a later entry wins."""
        return dict(entry.partition("=")[::2] for entry in self.env)

    @classmethod
    def from_fields(cls, fields: Fields) -> RunConfig:
        health = fields.fields("Healthcheck")
        return cls(
            user=fields.text("User", ""),
            exposed_ports=tuple(fields.mapping("ExposedPorts")),
            env=fields.texts("Env"),
            entrypoint=_optional(fields, "Entrypoint"),
            cmd=_optional(fields, "Cmd"),
            volumes=tuple(fields.mapping("Volumes")),
            working_dir=fields.text("WorkingDir", ""),
            labels=tuple(fields.text_map("Labels").items()),
            stop_signal=fields.text("StopSignal", ""),
            shell=_optional(fields, "Shell"),
            on_build=fields.texts("OnBuild"),
            healthcheck=_healthcheck(health) if health else None,
        )

    def to_json(self) -> JsonObject:
        """Only the fields that are set, as the spec has them."""
        value: JsonObject = {}
        if self.user:
            value["User"] = self.user
        if self.exposed_ports:
            value["ExposedPorts"] = {port: {} for port in self.exposed_ports}
        if self.env:
            value["Env"] = list(self.env)
        for key, words in (("Entrypoint", self.entrypoint), ("Cmd", self.cmd), ("Shell", self.shell)):
            if words is not None:
                value[key] = list(words)
        if self.volumes:
            value["Volumes"] = {volume: {} for volume in self.volumes}
        if self.working_dir:
            value["WorkingDir"] = self.working_dir
        if self.labels:
            value["Labels"] = dict(self.labels)
        if self.stop_signal:
            value["StopSignal"] = self.stop_signal
        if self.on_build:
            value["OnBuild"] = list(self.on_build)
        if self.healthcheck:
            value["Healthcheck"] = _healthcheck_json(self.healthcheck)
        return value


class History(NamedTuple):
    """One line of an image's history; `empty_layer` tells that the step changed no file."""

    created: str = ""
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False

    @classmethod
    def from_fields(cls, fields: Fields) -> History:
        return cls(
            fields.text("created", ""),
            fields.text("created_by", ""),
            fields.text("comment", ""),
            fields.text("author", ""),
            fields.boolean("empty_layer"),
        )

    def to_json(self) -> JsonObject:
        value: JsonObject = {}
        for key in ("created", "created_by", "comment", "author"):
            if text := getattr(self, key):
                value[key] = text
        if self.empty_layer:
            value["empty_layer"] = True
        return value


class ImageConfig(NamedTuple):
    """A whole configuration; `raw` are its exact bytes, whose digest is the image ID."""

    raw: bytes
    platform: Platform
    run: RunConfig
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...] = ()
    created: str = ""
    author: str = ""

    @classmethod
    def parse(cls, data: bytes) -> ImageConfig:
        """Read a configuration of OCI or of Docker's schema 2.

        Raises:
            Malformed: no JSON, a field of another type, a diff ID that is none.
        """
        document = parse_object(data, what="image configuration")
        fields = Fields(document, what="image configuration")
        rootfs = fields.fields("rootfs")
        run = fields.fields("config")
        return cls(
            data,
            Platform.from_json(document),
            RunConfig.from_fields(run) if run else RunConfig(),
            _diff_ids(rootfs) if rootfs else (),
            tuple(History.from_fields(item) for item in fields.fields_list("history")),
            fields.text("created", ""),
            fields.text("author", ""),
        )

    @classmethod
    def make(
        cls,
        *,
        platform: Platform,
        run: RunConfig = RunConfig(),  # noqa: B008 - an immutable value
        diff_ids: tuple[Digest, ...] = (),
        history: tuple[History, ...] = (),
        created: str = EPOCH_1980,
        author: str = "",
        other: Mapping[str, object] | None = None,
    ) -> ImageConfig:
        """A new configuration; its bytes are canonical JSON. `other` holds further top-level fields to keep."""
        value: JsonObject = dict(other or {})
        value.update(platform.to_json())
        value["created"] = created
        if author:
            value["author"] = author
        value["config"] = run.to_json()
        value["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in diff_ids]}
        value["history"] = [line.to_json() for line in history]
        return cls(dumps(value), platform, run, diff_ids, history, created, author)

    @property
    def image_id(self) -> Digest:
        """The digest of the exact bytes."""
        return Digest.of(self.raw)

    @property
    def chain_id(self) -> Digest | None:
        """The chain ID of the whole image, None where it has no layer."""
        return chain_id(self.diff_ids)


def _optional(fields: Fields, key: str) -> tuple[str, ...] | None:
    return None if fields.value.get(key) is None else fields.texts(key)


def _diff_ids(fields: Fields) -> tuple[Digest, ...]:
    try:
        return tuple(Digest.parse(text) for text in fields.texts("diff_ids"))
    except InvalidDigest as error:
        fields.fail("diff_ids", error.message)


_HEALTH_TIMES = (
    ("interval", "Interval"),
    ("timeout", "Timeout"),
    ("start_period", "StartPeriod"),
    ("start_interval", "StartInterval"),
    ("retries", "Retries"),
)


def _healthcheck(fields: Fields) -> HealthCheck:
    return HealthCheck(fields.texts("Test"), **{name: fields.integer(key, 0) for name, key in _HEALTH_TIMES})


def _healthcheck_json(check: HealthCheck) -> JsonObject:
    value: JsonObject = {"Test": list(check.test)} if check.test else {}
    for name, key in _HEALTH_TIMES:
        if number := getattr(check, name):
            value[key] = number
    return value
