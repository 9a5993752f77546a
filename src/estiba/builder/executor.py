"""Carrying out the steps of a build: each in its own process, on a snapshot that becomes a layer when it succeeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from estiba.builder import keys, layer, leftovers
from estiba.builder.cache import result_of
from estiba.builder.context.globs import has_wildcard
from estiba.builder.context.hashes import FileHashes
from estiba.builder.context.ignore import exclusions
from estiba.builder.context.remote import RemoteSources
from estiba.builder.context.tree import Item, SourceTree
from estiba.builder.context.trees import Trees
from estiba.builder.failures import StepFailed, located
from estiba.builder.mounts import MountPlanner
from estiba.builder.request import BuildRequest, BuildSurroundings
from estiba.builder.step.job import CopyAction, DirectoryAction, Job, Place, RunAction, with_variables
from estiba.errors import EstibaError, NotThereYet, PermissionDenied
from estiba.graph.protocols import CacheKey, Result, Step
from estiba.graph.vertex import (
    Copy,
    LocalContext,
    MakeDirectory,
    Pairs,
    Run,
    Scratch,
    SourceGit,
    SourceImage,
    SourceUrl,
    Vertex,
)
from estiba.oci.digest import Digest
from estiba.store.store import Store

if TYPE_CHECKING:
    from estiba.builder.step.spawn import Finished


class Selection(NamedTuple):
    """What a COPY names in one tree that can be read without a mount, and whether archives there are extracted."""

    tree: SourceTree
    items: tuple[Item, ...]
    unpack: bool


class BuildExecutor:
    """Runs one build's steps; called from several threads.

    `bases` has the chain ID (None: no layer) of every image that the Dockerfile names. `build_id` names the run-time
    state of this build's steps.
    """

    def __init__(
        self,
        *,
        store: Store,
        request: BuildRequest,
        surroundings: BuildSurroundings,
        trees: Trees,
        bases: Mapping[SourceImage, Digest | None],
        stage_label: Callable[[Vertex], str],
        build_id: str,
    ) -> None:
        self._store = store
        self._request = request
        self._surroundings = surroundings
        self._trees = trees
        self._hashes = FileHashes(store.database)
        self._bases = bases
        self._stage_label = stage_label
        self._mounts = MountPlanner(store, request, trees)
        self._remote = RemoteSources(store, request, surroundings, build_id=build_id)
        self._selections: dict[str, tuple[Selection, ...]] = {}
        self._unmatched: dict[str, list[str]] = {}
        self._build = build_id

    def key(self, vertex: Vertex, inputs: Sequence[Result]) -> CacheKey | None:
        operation = vertex.operation
        with located(vertex, self._request):
            if isinstance(operation, Run):
                mounted = self._mounts.context_parts(operation, vertex, inputs, self._hashes)
                parts = (*keys.run_parts(operation, inputs, mounted), *self._request_parts(operation))
                return keys.make_key("run", parts, epoch=self._request.epoch)
            if isinstance(operation, Copy):
                selected = self._selected_parts(self._selection(vertex, operation, inputs))
                return keys.make_key("copy", keys.copy_parts(operation, inputs, selected), epoch=self._request.epoch)
            if isinstance(operation, MakeDirectory):
                return keys.make_key("directory", keys.directory_parts(operation, inputs), epoch=self._request.epoch)
        return None

    def execute(self, vertex: Vertex, inputs: Sequence[Result], key: CacheKey | None, step: Step) -> Result:
        operation = vertex.operation
        if isinstance(operation, SourceImage):
            chain_id = self._bases[operation]
            return result_of(self._store, chain_id) if chain_id else Result()
        if isinstance(operation, Scratch | LocalContext):
            return Result()
        with located(vertex, self._request):
            if isinstance(operation, SourceUrl):
                return self._remote.url(operation, step, key=vertex.digest)
            if isinstance(operation, SourceGit):
                return self._remote.git(operation, step, key=vertex.digest)
            if isinstance(operation, Run):
                return self._layer(vertex, inputs, step, lambda name: self._run_action(vertex, operation, inputs, name))
            if isinstance(operation, Copy):
                for words in self._unmatched.get(vertex.digest, ()):
                    step.output(words.encode("utf-8", "replace"))
                return self._layer(vertex, inputs, step, lambda name: self._copy_action(vertex, operation, inputs))
            assert isinstance(operation, MakeDirectory)
            return self._layer(vertex, inputs, step, lambda name: DirectoryAction(operation.path, operation.owner))

    def _request_parts(self, operation: Run) -> Pairs:
        """What a RUN sees of the request besides the Dockerfile."""
        network = (("the build's network", self._request.network),) if operation.network == "default" else ()
        hosts = tuple(("added host", each) for each in self._request.extra_hosts)
        return (*network, *hosts)

    def _selection(self, vertex: Vertex, operation: Copy, inputs: Sequence[Result]) -> tuple[Selection, ...] | None:
        """What a COPY selects in trees that need no mount, sources of one tree together; None for another stage's."""
        known = self._selections.get(vertex.digest)
        if known is not None:
            return known
        exclude = exclusions(operation.exclude)
        found: list[Selection] = []
        for number, pattern in enumerate(operation.sources):
            index = operation.origin(number)
            source = vertex.inputs[index]
            tree = self._trees.of(source, inputs[index])
            if tree is None:
                return None
            items = tree.select(pattern, exclude=exclude, keeps_parents=operation.parents)
            if not items and has_wildcard(pattern):
                self._unmatched.setdefault(vertex.digest, []).append(f"{pattern!r} matches nothing in {tree.label}\n")
            unpack = operation.unpacks_urls if isinstance(source.operation, SourceUrl) else operation.unpack
            if found and found[-1].tree is tree:
                found[-1] = found[-1]._replace(items=found[-1].items + items)
            else:
                found.append(Selection(tree, items, unpack))
        self._selections[vertex.digest] = tuple(found)
        return tuple(found)

    def _selected_parts(self, selections: tuple[Selection, ...] | None) -> Pairs | None:
        """The parts of a key that tell the content."""
        if selections is None:
            return None
        parts: list[tuple[str, str]] = []
        for tree, items, _ in selections:
            digests = self._hashes.of(tree, (entry for item in items for entry in item.entries))
            parts += keys.item_parts(items, digests)
        return tuple(parts)

    def _layer(
        self,
        vertex: Vertex,
        inputs: Sequence[Result],
        step: Step,
        action: Callable[[str], RunAction | CopyAction | DirectoryAction],
    ) -> Result:
        """Do one step on a new snapshot and commit what it changed; nothing is left of one that fails."""
        from estiba.builder.step.spawn import spawn

        snapshots = self._store.snapshots
        parent = Digest.parse(inputs[0].chain_id) if inputs[0].chain_id else None
        name = f"{self._build}-{vertex.digest[:12]}"
        mounts = snapshots.prepare(name, parent)
        try:
            writable = snapshots.writable(name)
            job = Job(
                directory=f"{self._surroundings.steps}/{name}",
                root=Place(mounts)
                if snapshots.kind == "overlay" or isinstance(vertex.operation, Run)
                else Place((), writable),
                writable=writable,
                epoch=self._request.epoch,
                action=action(name),
            )
            with self._mounts.locks(vertex.operation, step.cancellation):
                try:
                    self._checked(vertex, spawn(job, step, when_killed=lambda: self._end(name, vertex)))
                except StepFailed as failure:
                    self._look(failure, vertex, job, step)
                    raise
            return layer.commit(self._store, name, parent, inputs[0], epoch=self._request.epoch)
        except BaseException:
            layer.discard(self._store, name)
            raise

    def _look(self, failure: StepFailed, vertex: Vertex, job: Job, step: Step) -> None:
        """Open a shell where a RUN has failed, with all that it had; the other steps are given up first."""
        look = self._surroundings.on_failure
        if look is None or not isinstance(vertex.operation, Run) or not isinstance(job.action, RunAction):
            return
        from estiba.builder.step.spawn import attend

        step.cancellation.set()
        variables = look(failure)
        shell = vertex.operation.arguments[0] if vertex.operation.shell_form else "/bin/sh"
        env = with_variables(job.action.env, variables)
        attend(job._replace(action=job.action._replace(arguments=(shell,), env=env, terminal=True)))

    def _end(self, name: str, vertex: Vertex) -> None:
        """The process of a step was killed: end what it had started."""
        if isinstance(vertex.operation, Run):
            leftovers.end_step(name, self._surroundings)

    def _checked(self, vertex: Vertex, finished: Finished) -> None:
        if finished.exit_code:
            assert isinstance(vertex.operation, Run)
            raise StepFailed(
                vertex, self._request, exit_code=finished.exit_code, output=finished.tail, note=finished.note
            )

    def _run_action(self, vertex: Vertex, operation: Run, inputs: Sequence[Result], name: str) -> RunAction:
        if operation.security == "insecure":
            raise NotThereYet("RUN --security=insecure is not there yet")
        if operation.network == "host" and not self._request.allows_host_network:
            raise PermissionDenied(
                "RUN --network=host reaches everything that listens on this machine, and this build does not allow it",
                remedy="If you trust this Dockerfile, allow it with --allow network.host.",
            )
        mounts, variables = self._mounts.plan(operation, vertex, inputs)
        runtime = self._surroundings.runtime()
        env = [f"{key}={value}" for key, value in (*operation.env, *operation.passing_env, *variables)]
        return RunAction(
            arguments=operation.arguments,
            env=tuple(env),
            user=operation.user,
            working_dir=operation.working_dir,
            mounts=mounts,
            files=tuple((file.name, file.data, file.mode) for file in operation.files),
            network=self._request.network if operation.network == "default" else operation.network,
            privileged=False,
            container_id=name,
            runtime=runtime.command,
            runtime_root=runtime.root,
            runtime_is_ours=runtime.is_ours,
            networks_root=self._surroundings.networks_root,
            networks_run=self._surroundings.networks_run,
            resolv_conf=self._surroundings.resolv_conf,
            extra_hosts=self._request.extra_hosts,
            own_ids=self._surroundings.own_ids if self._request.own_ids is None else self._request.own_ids,
        )

    def _tree(self, chain_id: Digest) -> Place:
        """Where a stage can be read; what is one directory needs no mount."""
        directories = self._store.snapshots.directories(chain_id)
        return Place((), directories[0]) if len(directories) == 1 else Place(self._store.snapshots.view(chain_id))

    def _copy_action(self, vertex: Vertex, operation: Copy, inputs: Sequence[Result]) -> CopyAction:
        selections = self._selection(vertex, operation, inputs)
        action = CopyAction(
            source=Place(),
            patterns=(),
            items=(),
            contents=tuple((file.name, file.data, file.mode) for file in operation.contents),
            destination=operation.destination,
            owner=operation.owner,
            mode=operation.mode,
            parents=operation.parents,
            exclude=operation.exclude,
            unpack=operation.unpack,
            keeps_owner=False,
            label="",
        )
        if selections is not None:
            actions = [
                action._replace(source=Place((), tree.root), items=items, contents=(), unpack=unpack, label=tree.label)
                for tree, items, unpack in selections
            ]
            first = actions[0]._replace(contents=action.contents) if actions else action
            return first._replace(then=tuple(actions[1:]))
        label = self._stage_label(vertex.inputs[1])
        chain_id = inputs[1].chain_id
        if chain_id is None:
            raise EstibaError(f"{label} holds no file")
        return action._replace(
            source=self._tree(Digest.parse(chain_id)), patterns=operation.sources, keeps_owner=True, label=label
        )
