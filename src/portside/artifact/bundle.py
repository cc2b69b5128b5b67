"""Make the model artifact: `package` takes a checkpoint, a handler or both to `model.tar.gz`.

    model.tar.gz
    ├── config.json, tokenizer.json, …   the checkpoint's files, as they lie in its folder
    ├── model.onnx, model.onnx.data      its own graph, or one that was made (`graph_choice`)
    └── code/inference.py                the handler, with what it imports (see `handler`)

Members lie at the root, with no folder around them, as SageMaker wants them
(DG deploy-model-troubleshoot).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from portside import contract
from portside.archive import Member, pack_once
from portside.artifact.cache import prune
from portside.artifact.folder.checkpoint import Checkpoint, read_checkpoint
from portside.artifact.folder.content import LeftOut
from portside.artifact.handler import handler_members
from portside.artifact.proof.proof import Proof
from portside.artifact.served_graph import DEFAULT_GATE, ServedGraph, Wanted
from portside.errors import BuildError
from portside.serving.tasks.strategy import AggregationStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from portside.artifact.folder.architecture import Task
    from portside.artifact.folder.content import File
    from portside.artifact.proof.judge import Precision
    from portside.artifact.proof.proof import Gate

PACKED: Final = "packed.json"
"""In the cache: what was packed last."""

MEGABYTE: Final = 1_000_000

PROJECT_FILES: Final = ("portside.toml", "request.json", "report.html", "report.json")
"""What Portside writes: lies in the checkpoint's folder where that is the project's too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A finished `model.tar.gz`: `digest` is its SHA-256 in hex, `members` the names in it."""

    path: Path
    digest: str
    size_bytes: int
    members: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    proof: Proof | None = None
    """Of the graph that was exported; None where the model goes in as it is."""


class Chooser(Protocol):
    """Makes the graph of a checkpoint that has none; see `graph_choice.choose_graph`."""

    def __call__(
        self,
        checkpoint: Checkpoint,
        task: Task,
        *,
        wanted: Wanted,
        cache: Path,
        progress: Callable[[str], None],
    ) -> ServedGraph: ...


def package(
    model: Path | None,
    *,
    output: Path,
    cache: Path | None = None,
    handler: Path | None = None,
    has_code: bool = True,
    precision: Precision = "auto",
    samples: Path | None = None,
    gate: Gate = DEFAULT_GATE,
    strategy: AggregationStrategy = AggregationStrategy.AVERAGE,
    allow_pickle: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    chooser: Chooser | None = None,
) -> Artifact:
    """Make the artifact at `output`; what is slow to make is kept in the folder `cache`.

    The cache is a folder of Portside's own (see `cache`), the output's unless named.
    `model` is a checkpoint folder or a model file in one, None where the handler
    is all there is. With `has_code` false the handler stays out: it lies in the image.
    `samples` is a file of texts to prove an exported graph on;
    without it bundled ones are taken. `strategy` is how the endpoint joins tokens to
    entities. `allow_pickle` says that pickled weights are the user's own. `progress`
    hears what is being done, in words. Raises `BuildError`, `ConfigError` for samples
    that do not fit, and `MissingToolError` where an export needs what is not installed;
    then whatever stood at `output` stands there still.
    """
    if model is None and handler is None:
        raise BuildError(
            "cannot package a project with neither a model nor a handler",
            hint="set `[model] path` or `[handler] file` in `portside.toml`",
        )
    cache = cache or output.parent
    code = () if handler is None else handler_members(handler)
    brought = code if has_code else ()
    content = _Content(members=brought)
    if model is not None:
        progress("reading the checkpoint")
        checkpoint = read_checkpoint(model, has_handler=bool(code), allow_pickle=allow_pickle)
        progress(f"found {checkpoint.summary}")
        wanted = Wanted(precision=precision, gate=gate, samples=samples, strategy=strategy)
        graph = _graph(checkpoint, wanted=wanted, cache=cache, progress=progress, chooser=chooser)
        content = _content(checkpoint, brought, graph=graph, samples=samples)
    output.parent.mkdir(parents=True, exist_ok=True)
    packed = pack_once(
        content.members,
        output,
        record=cache / PACKED,
        progress=_in_words(content.members, progress),
    )
    prune(cache, now=time.time())
    return Artifact(
        path=packed.path,
        digest=packed.digest,
        size_bytes=packed.size_bytes,
        members=tuple(sorted(member.name for member in content.members)),
        left_out=content.left_out,
        proof=content.proof,
    )


def _own_chooser() -> Chooser:
    # Exporting and proving is a large part of this package, and most deployments need none of it.
    from portside.artifact.graph_choice import choose_graph  # noqa: PLC0415 - see above

    return choose_graph


def _graph(
    checkpoint: Checkpoint,
    *,
    wanted: Wanted,
    cache: Path,
    progress: Callable[[str], None],
    chooser: Chooser | None,
) -> ServedGraph | None:
    """The graph that was made; None where the model goes in as it is."""
    if checkpoint.task is not None and checkpoint.needs_export:
        chooser = chooser or _own_chooser()
        return chooser(checkpoint, checkpoint.task, wanted=wanted, cache=cache, progress=progress)
    if wanted.precision == "int8":
        raise BuildError(
            f"cannot quantize `{checkpoint.folder}` to int8: only a graph exported by Portside "
            "can be",
            hint="leave `[model] precision` out, or package the safetensors checkpoint",
        )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What goes in, and what does not."""

    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...] = ()
    proof: Proof | None = None


def _content(
    checkpoint: Checkpoint,
    code: tuple[Member, ...],
    *,
    graph: ServedGraph | None,
    samples: Path | None,
) -> _Content:
    files, left_out = _without_replaced(checkpoint, code, samples)
    members = [*code, *(Member(name=str(file.path), source=file.source) for file in files)]
    if graph:
        members += [Member(name=path.name, source=path) for path in graph.files]
    return _Content(members=tuple(members), left_out=left_out, proof=graph.proof if graph else None)


def _without_replaced(
    checkpoint: Checkpoint, code: tuple[Member, ...], samples: Path | None
) -> tuple[tuple[File, ...], tuple[LeftOut, ...]]:
    """The checkpoint's files but those that something else stands for in the artifact."""
    replaced: dict[File, str] = {}
    if checkpoint.needs_export and checkpoint.model is not None:
        replaced |= dict.fromkeys(checkpoint.model.files, "exported to ONNX")
    for file in checkpoint.files:
        if code and file.path.parts[0] == contract.CODE_DIR_NAME:
            replaced[file] = "the handler takes its place"
        elif samples is not None and file.source.resolve() == samples.resolve():
            replaced[file] = "samples for the proof"
        elif str(file.path) in PROJECT_FILES:
            replaced[file] = "about the project, not the model"
    # The handler may lie in the checkpoint's folder, and goes in once.
    brought = {member.source for member in code}
    files = [file for file in checkpoint.files if file.source not in brought]
    left_out = (
        LeftOut(path=file.path, size_bytes=file.size_bytes, reason=replaced[file])
        for file in files
        if file in replaced
    )
    taken = tuple(file for file in files if file not in replaced)
    return taken, (*checkpoint.left_out, *left_out)


def _in_words(members: Iterable[Member], progress: Callable[[str], None]) -> Callable[[int], None]:
    """Turn bytes read into `packing, 53 of 265 MB`, said at every tenth of the way."""
    total = sum(member.source.stat().st_size for member in members if member.source.exists())
    done, said = 0, -1

    def hear(size: int) -> None:
        nonlocal done, said
        done += size
        tenths = 10 * done // max(total, 1)
        if tenths > said:
            said = tenths
            progress(f"packing, {done // MEGABYTE} of {total // MEGABYTE} MB")

    return hear
