"""Carrying out the steps of a build: each in its own process, on a snapshot that becomes a layer when it succeeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from estiba.builder import keys, leftovers
from estiba.builder.cache import result_of
from estiba.builder.context.hashes import FileHashes
from estiba.builder.context.ignore import exclusions
from estiba.builder.context.tree import Item, SourceTree
from estiba.builder.failures import StepFailed, located
from estiba.builder.mounts import MountPlanner
from estiba.builder.request import BuildRequest, BuildSurroundings
from estiba.builder.step.job import CopyAction, DirectoryAction, Job, Place, RunAction
from estiba.errors import EstibaError, NotThereYet, PermissionDenied, Unavailable
from estiba.graph.protocols import CacheKey, Result, Step
from estiba.graph.vertex import Copy, LocalContext, MakeDirectory, Pairs, Run, Scratch, SourceImage, Vertex
from estiba.oci.chain_id import extend
from estiba.oci.digest import Digest
from estiba.store.snapshots.trees import remove_tree
from estiba.store.store import Store

if TYPE_CHECKING:
    from estiba.builder.step.spawn import Finished


class Selection(NamedTuple):
    """What a COPY names in the context, and the parts of its key that tell the content."""

    items: tuple[Item, ...]
    parts: Pairs


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
        context: SourceTree,
        bases: Mapping[SourceImage, Digest | None],
        stage_label: Callable[[Vertex], str],
        build_id: str,
    ) -> None:
        self._store = store
        self._request = request
        self._surroundings = surroundings
        self._context = context
        self._hashes = FileHashes(store.database)
        self._bases = bases
        self._stage_label = stage_label
        self._mounts = MountPlanner(store, request, context)
        self._selections: dict[str, Selection] = {}
        self._build = build_id

    def key(self, vertex: Vertex, inputs: Sequence[Result]) -> CacheKey | None:
        operation = vertex.operation
        with located(vertex, self._request):
            if isinstance(operation, Run):
                mounted = self._mounts.context_parts(operation, vertex, self._hashes)
                parts = (*keys.run_parts(operation, inputs, mounted), *self._request_parts(operation))
                return keys.make_key("run", parts, epoch=self._request.epoch)
            if isinstance(operation, Copy):
                selection = self._selection(vertex, operation)
                return keys.make_key(
                    "copy", keys.copy_parts(operation, inputs, selection and selection.parts), epoch=self._request.epoch
                )
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
            if isinstance(operation, Run):
                return self._layer(vertex, inputs, step, lambda name: self._run_action(vertex, operation, inputs, name))
            if isinstance(operation, Copy):
                return self._layer(vertex, inputs, step, lambda name: self._copy_action(vertex, operation, inputs))
            return self._layer(vertex, inputs, step, lambda name: DirectoryAction(operation.path, operation.owner))

    def _request_parts(self, operation: Run) -> Pairs:
        """What a RUN sees of the request besides the Dockerfile."""
        network = (("the build's network", self._request.network),) if operation.network == "default" else ()
        hosts = tuple(("added host", each) for each in self._request.extra_hosts)
        return (*network, *hosts)

    def _selection(self, vertex: Vertex, operation: Copy) -> Selection | None:
        """What a COPY from the context selects; None for one from another stage."""
        if not self._reads_context(vertex):
            return None if len(vertex.inputs) > 1 else Selection((), ())
        known = self._selections.get(vertex.digest)
        if known is not None:
            return known
        exclude = exclusions(operation.exclude)
        items = tuple(
            item
            for pattern in operation.sources
            for item in self._context.select(pattern, exclude=exclude, keeps_parents=operation.parents)
        )
        digests = self._hashes.of(self._context, (entry for item in items for entry in item.entries))
        found = Selection(items, keys.item_parts(items, digests))
        self._selections[vertex.digest] = found
        return found

    @staticmethod
    def _reads_context(vertex: Vertex) -> bool:
        return len(vertex.inputs) > 1 and isinstance(vertex.inputs[1].operation, LocalContext)

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
                self._checked(vertex, spawn(job, step, when_killed=lambda: self._end(name, vertex)))
            return self._commit(name, parent, inputs[0])
        except BaseException:
            self._discard(name)
            raise

    def _discard(self, name: str) -> None:
        """Remove what a failed step has made; on a full disk its files go first, which makes room for the records."""
        snapshots = self._store.snapshots
        try:
            snapshots.remove(name)
        except Unavailable:
            remove_tree(snapshots.writable(name))
            snapshots.remove(name)

    def _end(self, name: str, vertex: Vertex) -> None:
        """The process of a step was killed: end what it had started."""
        if isinstance(vertex.operation, Run):
            leftovers.end_step(name, self._surroundings)

    def _commit(self, name: str, parent: Digest | None, below: Result) -> Result:
        from estiba.layers.pack import diff_id_of
        from estiba.layers.tar.writer import TarPolicy

        snapshots = self._store.snapshots
        policy = TarPolicy(self._request.epoch, set_times=self._request.epoch is not None)
        change = snapshots.change(name)
        layer = diff_id_of(change.tree, policy, base=change.base)
        chain_id = extend(parent, layer.diff_id)
        snapshots.commit(name, chain_id=chain_id, diff_id=layer.diff_id, size=layer.content, sync=False)
        return Result(str(chain_id), (*below.diff_ids, str(layer.diff_id)))

    def _checked(self, vertex: Vertex, finished: Finished) -> None:
        if finished.exit_code:
            assert isinstance(vertex.operation, Run)
            raise StepFailed(vertex, self._request, exit_code=finished.exit_code, output=finished.tail)

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
        if operation.checksum or operation.keep_git_dir:
            raise NotThereYet(f"{operation.kind} --checksum and --keep-git-dir are not there yet")
        selection = self._selection(vertex, operation)
        source, label = Place(), "the build context"
        if selection is None:
            chain_id = inputs[1].chain_id
            label = self._stage_label(vertex.inputs[1])
            if chain_id is None:
                raise EstibaError(f"{label} holds no file")
            source = self._tree(Digest.parse(chain_id))
        elif selection.items:
            source = Place((), self._context.root)
        return CopyAction(
            source=source,
            patterns=operation.sources if selection is None else (),
            items=selection.items if selection else (),
            contents=tuple((file.name, file.data, file.mode) for file in operation.contents),
            destination=operation.destination,
            owner=operation.owner,
            mode=operation.mode,
            parents=operation.parents,
            exclude=operation.exclude,
            unpack=operation.unpack,
            keeps_owner=selection is None,
            label=label,
        )
