"""Images: listed, pulled, pushed, named, looked at, removed, saved and loaded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import BinaryIO

from aiohttp import web

from estiba.docker_api.arguments import filters, is_true, one_login
from estiba.docker_api.descriptors import Descriptor
from estiba.docker_api.exchange import Exchange, answer, nothing
from estiba.docker_api.incoming import with_body
from estiba.docker_api.telling import Tell, TransferWords, tell, tell_problem
from estiba.dockerfile.changes import apply_changes
from estiba.engine import committing
from estiba.engine.committing import About
from estiba.errors import InvalidInput, NotThereYet
from estiba.image.archive import save
from estiba.image.archive.load import load
from estiba.image.assemble import unix_seconds
from estiba.image.image import Image, find, view
from estiba.image.importing import import_tar
from estiba.image.inspect import inspect_image
from estiba.image.remove import UNTAGGED, remove_image
from estiba.oci.labels import matches_labels
from estiba.oci.platform import Platform
from estiba.oci.reference import Reference
from estiba.values import TYPE_CHECKING

if TYPE_CHECKING:
    from estiba.store.images import ImageRecord
    from estiba.store.store import Store

_KEYS = ("dangling", "label", "reference", "before", "since")


async def index(exchange: Exchange) -> web.Response:
    wanted = filters(exchange.text("filters"))
    if unknown := set(wanted) - set(_KEYS):
        raise InvalidInput(f"invalid filter '{min(unknown)}'")
    return answer(await exchange.api.threads.quick(rows, exchange.api.store, wanted))


def rows(store: Store, wanted: Mapping[str, Sequence[str]]) -> list[dict[str, object]]:
    """Every image that the filters let through, the newest first."""
    limits = {key: store.images.find(values[0]).created for key, values in wanted.items() if key in ("before", "since")}
    found = []
    for record in store.images.list():
        image = view(store, record)
        if (
            _is_wanted(image, wanted)
            and record.created < limits.get("before", 1 << 62)
            and record.created > limits.get("since", -1)
        ):
            found.append(_row(image, wanted.get("reference", ())))
    return found


def _row(image: Image, patterns: Sequence[str]) -> dict[str, object]:
    """Of its names those that were asked for."""
    names = (one for one in image.names if not patterns or any(_names(one.name, pattern) for pattern in patterns))
    image = image._replace(names=tuple(names))
    return {
        "Id": str(image.id),
        "ParentId": "",
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Created": image.record.created,
        "Size": image.record.size,
        "VirtualSize": image.record.size,
        "SharedSize": -1,
        "Labels": dict(image.config.run.labels),
        "Containers": -1,
    }


def _is_wanted(image: Image, wanted: Mapping[str, Sequence[str]]) -> bool:
    if "dangling" in wanted and is_true(wanted["dangling"][0]) == bool(image.tags):
        return False
    if not matches_labels(dict(image.config.run.labels), wanted):
        return False
    patterns = wanted.get("reference", ())
    return not patterns or any(_names(record.name, pattern) for record in image.names for pattern in patterns)


def _names(name: Reference, pattern: str) -> bool:
    forms = (name.familiar_name, name.familiar, name.name, str(name), name.familiar_name.rpartition("/")[2])
    return any(fnmatchcase(form, pattern) for form in forms)


async def inspect(exchange: Exchange) -> web.Response:
    store, name = exchange.api.store, exchange.parts["name"]
    return answer(await exchange.api.threads.quick(lambda: inspect_image(store, find(store, name))))


async def history(exchange: Exchange) -> web.Response:
    store, name = exchange.api.store, exchange.parts["name"]
    return answer(await exchange.api.threads.quick(lambda: _history(store, find(store, name))))


def _history(store: Store, image: Image) -> list[dict[str, object]]:
    sizes = [store.snapshots.get(chain).size for chain in store.images.content(image.id).chain_ids]
    lines: list[dict[str, object]] = []
    for line in image.config.history:
        size = 0 if line.empty_layer or not sizes else sizes.pop(0)
        lines.append(
            {
                "Id": "<missing>",
                "Created": unix_seconds(line.created),
                "CreatedBy": line.created_by,
                "Tags": None,
                "Size": size,
                "Comment": line.comment,
            }
        )
    if lines:
        lines[-1] |= {"Id": str(image.id), "Tags": list(image.tags) or None}
    return lines[::-1]


async def create(exchange: Exchange) -> web.StreamResponse:
    """Pull."""
    if exchange.text("fromSrc"):
        return await _import(exchange)
    name, tag = exchange.text("fromImage"), exchange.text("tag")
    if not name:
        raise InvalidInput("no image to pull: fromImage is empty")
    joined = name if not tag else f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    reference = Reference.parse(joined)
    if not reference.tag and not reference.digest:
        raise NotThereYet("pulling every tag of a repository is not there yet", remedy="Name the tag.")
    api = exchange.api
    platform = Platform.parse(exchange.text("platform")) if exchange.text("platform") else api.backends.facts.platform
    credentials = one_login(exchange.request.headers.get("X-Registry-Auth", ""))

    def work(telling: Tell) -> None:
        words = TransferWords(telling)
        api.backends.transfers.pull(reference, platform, credentials=credentials, progress=words)

    def done() -> None:
        api.events.tell("image", "pull", reference.familiar, {"name": reference.familiar_name})

    return await tell(exchange, work, done)


async def _import(exchange: Exchange) -> web.StreamResponse:
    """An image from a tar of files that is sent."""
    if exchange.text("fromSrc") != "-":
        raise NotThereYet("importing from an address is not there yet", remedy="Send the tar itself: docker import -.")
    api = exchange.api
    platform = Platform.parse(exchange.text("platform")) if exchange.text("platform") else api.backends.facts.platform
    name = _named(exchange)
    config = apply_changes(exchange.texts("changes"), platform=platform)
    message = exchange.text("message")

    def work(stream: BinaryIO) -> ImageRecord:
        made = import_tar(api.store, stream, platform=platform, run=config, message=message)
        if name is not None:
            api.store.references.set(name, made.id)
        return made

    record = await with_body(exchange, work)
    api.events.tell("image", "import", str(record.id), {"name": str(record.id)})
    return await tell(exchange, lambda telling: telling(status=str(record.id)))


def _named(exchange: Exchange) -> Reference | None:
    """The name that `repo` and `tag` give to a new image."""
    repository, label = exchange.text("repo"), exchange.text("tag")
    if not repository:
        return None
    name = Reference.parse(f"{repository}:{label}" if label else repository)
    if name.digest is not None:
        raise InvalidInput(f"{repository!r} has a digest", remedy="Name a tag: a digest follows from the content.")
    return name.tagged


async def commit(exchange: Exchange) -> web.Response:
    """An image from a container."""
    api, container = exchange.api, exchange.text("container")
    if not is_true(exchange.text("pause", "1")):
        raise InvalidInput("pause=false is refused: what changes while it is read may lead the reader astray")
    name = _named(exchange)
    config = apply_changes(exchange.texts("changes"), platform=api.backends.facts.platform)
    about = About(exchange.text("author"), exchange.text("comment"), config)

    source = await api.threads.quick(api.engine.find, container)

    def work() -> ImageRecord:
        made = committing.commit(api.engine, source.id, about)
        if name is not None:
            api.store.references.set(name, made.id)
        return made

    record = await api.threads.slow(work)
    api.events.tell_of(source, "commit", {"comment": about.message, "imageID": str(record.id)})
    return answer({"Id": str(record.id)}, status=201)


async def push(exchange: Exchange) -> web.StreamResponse:
    api, name, tag = exchange.api, exchange.parts["name"], exchange.text("tag")
    asked = Reference.parse(name)
    if tag:
        asked = asked._replace(tag=tag)
    credentials = one_login(exchange.request.headers.get("X-Registry-Auth", ""))

    def names() -> list[Reference]:
        if asked.tag:
            return [asked]
        return [r.name for r in api.store.references.list() if r.name.tag and r.name.name == asked.name]

    chosen = await api.threads.quick(names)
    images = [(one, (await api.threads.quick(api.store.images.find, str(one))).id) for one in chosen]
    if not images:
        await api.threads.quick(api.store.images.find, str(asked.tagged))  # says that there is none

    def work(telling: Tell) -> None:
        for one, image_id in images:
            words = TransferWords(telling)
            done = api.backends.transfers.push(image_id, one, credentials=credentials, progress=words)
            telling(status=f"{one.tag}: digest: {done.digest} size: {done.manifest_size}")
            telling(progressDetail={}, aux={"Tag": one.tag, "Digest": str(done.digest), "Size": done.manifest_size})

    def done() -> None:
        for one, _ in images:
            api.events.tell("image", "push", one.familiar, {"name": one.familiar_name})

    return await tell(exchange, work, done)


async def tag(exchange: Exchange) -> web.Response:
    api, name = exchange.api, exchange.parts["name"]
    repository, label = exchange.text("repo"), exchange.text("tag")
    reference = Reference.parse(f"{repository}:{label}" if label else repository)
    if reference.digest is not None:
        raise InvalidInput("refusing to create a tag with a digest reference")

    def work() -> str:
        record = api.store.images.find(name)
        api.store.references.set(reference.tagged, record.id)
        return str(record.id)

    image_id = await api.threads.quick(work)
    api.events.tell("image", "tag", image_id, {"name": reference.tagged.familiar})
    return nothing(201)


async def remove(exchange: Exchange) -> web.Response:
    api, name, force = exchange.api, exchange.parts["name"], exchange.flag("force")
    removed = await api.threads.slow(lambda: remove_image(api.store, name, force=force))
    for one in removed:
        if one.what == UNTAGGED:
            api.events.tell("image", "untag", one.target, {"name": one.target})
        else:
            api.events.tell("image", "delete", one.target)
    return answer([{one.what: one.target} for one in removed])


async def prune(exchange: Exchange) -> web.Response:
    """Images without a name that no container uses; with dangling=false also those with names."""
    from estiba.errors import EstibaError
    from estiba.store.uses import IMAGE

    wanted = filters(exchange.text("filters"))
    if unknown := set(wanted) - {"dangling", "label"}:
        raise NotThereYet(f"prune with the filter {min(unknown)} is not there yet")
    only_dangling = is_true((wanted.get("dangling") or ["true"])[0])
    store = exchange.api.store

    def work() -> dict[str, object]:
        removed: list[dict[str, str]] = []
        freed = 0
        for record in store.images.list():
            image = view(store, record)
            if (only_dangling and image.tags) or store.uses.of(IMAGE, record.id):
                continue
            if not _is_wanted(image, {"label": wanted.get("label", [])}):
                continue
            try:
                gone = remove_image(store, str(record.id), force=True)
            except EstibaError:
                continue
            freed += record.size
            removed += [{one.what: one.target} for one in gone]
        return {"ImagesDeleted": removed or None, "SpaceReclaimed": freed}

    return answer(await exchange.api.threads.slow(work))


async def get_one(exchange: Exchange) -> web.StreamResponse:
    return await _save(exchange, [exchange.parts["name"]])


async def get_several(exchange: Exchange) -> web.StreamResponse:
    names = [part for text in exchange.texts("names") for part in text.split(",") if part]
    if not names:
        raise InvalidInput("no images were named")
    return await _save(exchange, names)


async def _save(exchange: Exchange, names: Sequence[str]) -> web.StreamResponse:
    """An archive, as it is being written."""
    api = exchange.api
    images = await api.threads.quick(save.choose, api.store, names)
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def work() -> None:
        with open(writing, "wb", buffering=1 << 20) as out:
            save.save(api.store, images, out)

    source = Descriptor(reading)
    future = api.threads.begin(work)
    try:
        first = await source.read()
        if not first:
            await future  # it failed before the first byte: an answer with its status
        response = await exchange.begin("application/x-tar")
        data = first
        while data:
            await response.write(data)
            data = await source.read()
        await future
        await response.write_eof()
    finally:
        source.close()  # the writer gets EPIPE where it is not done
        await asyncio.gather(future, return_exceptions=True)
    return response


async def put(exchange: Exchange) -> web.StreamResponse:
    """Load."""
    api = exchange.api
    platform = api.backends.facts.platform
    if text := exchange.text("platform"):
        import json

        try:
            value = json.loads(text)
        except ValueError:
            raise InvalidInput("platform is not JSON") from None
        platform = Platform.from_json(value)
    try:
        loaded = await with_body(
            exchange, lambda stream: load(api.store, stream, where="the archive that was sent", platform=platform)
        )
    except InvalidInput as error:
        return await tell_problem(exchange, error)
    lines = []
    for image in loaded:
        lines += [f"Loaded image: {name.familiar}" for name in image.names]
        if not image.names:
            lines.append(f"Loaded image ID: {image.record.id}")
        api.events.tell("image", "load", str(image.record.id), {"name": str(image.record.id)})

    def work(telling: Tell) -> None:
        for line in lines:
            telling(stream=line + "\n")

    return await tell(exchange, work)
