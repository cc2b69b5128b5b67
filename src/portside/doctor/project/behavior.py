"""Checks of what the user's code does that an instance does not allow, or not well."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Final

from portside import config
from portside.contract import MODEL_DIR
from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.project.fact import Project, Source
from portside.doctor.project.handler import TAKEN
from portside.doctor.project.tree import Call, Tree, parameters, text_of, texts_in

_LOADERS: Final = ("load_model", "model_fn", "pre_model_fn", "model_warmup_fn")
_ANSWERERS: Final = tuple(name for name in TAKEN if name not in _LOADERS)

_TEMPORARY: Final = ("/tmp", "/dev/")  # noqa: S108 - looked for in the user's code, not written to
_UNSAFE_MODES: Final = frozenset("wax+")

_PATH_FIRST: Final = frozenset(
    {"os.makedirs", "os.mkdir", "numpy.save", "numpy.savez", "logging.FileHandler", "os.remove"}
)
_PATH_SECOND: Final = frozenset(
    {
        "joblib.dump",
        "shutil.copy",
        "shutil.copy2",
        "shutil.copyfile",
        "shutil.copytree",
        "shutil.move",
        "shutil.unpack_archive",
        "torch.save",
    }
)
_METHODS_OF_PATH: Final = ("write_text", "write_bytes", "mkdir", "touch", "unlink")
_METHODS_WITH_PATH: Final = ("extractall", "save_pretrained", "to_csv", "to_parquet", "to_json")

_DOWNLOADS: Final = frozenset(
    {
        "huggingface_hub.hf_hub_download",
        "huggingface_hub.snapshot_download",
        "nltk.download",
        "requests.get",
        "spacy.cli.download",
        "torch.hub.load",
        "torch.hub.load_state_dict_from_url",
        "urllib.request.urlopen",
        "urllib.request.urlretrieve",
        "wget.download",
    }
)
_NAMED_MODELS: Final = ("from_pretrained", "SentenceTransformer")

_SEMAPHORES: Final = frozenset(
    f"multiprocessing.{name}"
    for name in (
        "Barrier",
        "BoundedSemaphore",
        "Condition",
        "Event",
        "JoinableQueue",
        "Lock",
        "Manager",
        "Pool",
        "Queue",
        "RLock",
        "Semaphore",
        "shared_memory.SharedMemory",
    )
) | {"concurrent.futures.ProcessPoolExecutor", "joblib.Parallel", "torch.multiprocessing.Pool"}

_STARTERS: Final = ("subprocess.", "os.system", "os.popen", "os.exec", "os.spawn")

_LOADS: Final = frozenset(
    {
        "joblib.load",
        "keras.models.load_model",
        "onnxruntime.InferenceSession",
        "pickle.load",
        "tensorflow.keras.models.load_model",
        "tensorflow.saved_model.load",
        "torch.jit.load",
        "torch.load",
        "transformers.pipeline",
    }
)


def _writes(project: Project) -> Iterator[Spot]:
    for source, tree in _trees(project):
        given = _model_dir_names(tree)
        for call in tree.calls():
            for path in _written_paths(call):
                start = _start(path, tree, given)
                if start is None or start.startswith(_TEMPORARY) or "://" in start:
                    continue
                place = (
                    "the model's folder, which is read-only" if _in_model(start) else f"`{start}`"
                )
                yield Spot(
                    where=f"{source.where}:{call.line}",
                    what=f"`{_short(call)}` writes to {place}",
                    mend="write below `/tmp`: nothing else is writable on every kind of endpoint",
                )


def _written_paths(call: Call) -> Iterator[ast.expr]:
    """What a call would write to, as far as can be seen."""
    if (cache := call.keyword("cache_dir")) is not None:
        yield cache
    match call.name, call.node.func:
        case (("open" | "io.open" | "gzip.open"), _):
            mode = text_of(call.argument(1, "mode")) or "r"
            path = call.argument(0, "file")
            if path is not None and not _UNSAFE_MODES.isdisjoint(mode):
                yield path
        case name, _ if name in _PATH_FIRST and call.node.args:
            yield call.node.args[0]
        case name, _ if name in _PATH_SECOND and len(call.node.args) > 1:
            yield call.node.args[1]
        case _, ast.Attribute(value=value, attr=method) if method in _METHODS_OF_PATH:
            yield value
        case _, ast.Attribute(attr=method) if method in _METHODS_WITH_PATH:
            path = call.argument(0, "path")
            if path is not None:
                yield path
        case _:
            pass


def _start(path: ast.expr, tree: Tree, given: frozenset[str]) -> str | None:
    """How a path begins; None where that cannot be seen."""
    match path:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[first, *_]):
            return _start(first, tree, given)
        case ast.FormattedValue(value=value):
            return _start(value, tree, given)
        case ast.BinOp(op=ast.Add() | ast.Div(), left=left):
            return _start(left, tree, given)
        case ast.Call(func=function, args=[first, *_]) if tree.name(function) in _WRAPPERS:
            return _start(first, tree, given)
        case ast.Name(id=name) if name in given:
            return MODEL_DIR
        case _:
            return None


_WRAPPERS: Final = frozenset({"pathlib.Path", "os.path.join", "str", "os.fspath"})


def _model_dir_names(tree: Tree) -> frozenset[str]:
    """What the handler calls the model's folder."""
    found = (tree.functions[name] for name in _LOADERS if name in tree.functions)
    return frozenset(name for function in found for name in parameters(function)[:1])


def _in_model(start: str) -> bool:
    return start.startswith("/opt/ml")


def _downloads(project: Project) -> Iterator[Spot]:
    for source, tree in _trees(project):
        for call in tree.calls():
            fetched = call.name in _DOWNLOADS or call.name.endswith(".download_file")
            named = _named_model(call)
            if fetched or named:
                what = f"fetches `{named}` from the hub" if named else "needs the network"
                yield Spot(
                    where=f"{source.where}:{call.line}",
                    what=f"`{_short(call)}` {what} in the instance: that takes of the time to "
                    "start, and fails where there is no way out",
                    mend="put the files beside the model, and load them from `model_dir`",
                )


def _named_model(call: Call) -> str | None:
    """The name of a model on the hub that a call would fetch."""
    if call.name.rpartition(".")[2] in _NAMED_MODELS:
        name = text_of(call.argument(0, "pretrained_model_name_or_path"))
    elif call.name == "transformers.pipeline":
        name = text_of(call.argument(1, "model"))
    else:
        return None
    offline = call.keyword("local_files_only")
    is_offline = isinstance(offline, ast.Constant) and offline.value is True
    return name if name and not is_offline and not name.startswith(("/", ".")) else None


def _installs(project: Project) -> Iterator[Spot]:
    for source, tree in _trees(project):
        for call in tree.calls():
            words = {word for text, _ in texts_in(call.node) for word in text.split()}
            is_pip = call.name.startswith(_STARTERS) and {"pip", "install"} <= words
            if is_pip or call.name in {"pip.main", "pip._internal.main"}:
                yield Spot(
                    where=f"{source.where}:{call.line}",
                    what="it installs packages when the instance starts, which fails on serverless "
                    "and takes of the time to start everywhere",
                    mend='set `image.requirements = "requirements.txt"`: they belong in the image',
                )


def _semaphores(project: Project) -> Iterator[Spot]:
    kinds = [endpoint.settings for endpoint in project.endpoints]
    if not any(isinstance(kind, config.Serverless) for kind in kinds):
        return
    for source, tree in _trees(project):
        for call in tree.calls():
            workers = call.keyword("num_workers")
            several = isinstance(workers, ast.Constant) and workers.value not in {0, None}
            if call.name in _SEMAPHORES or (several and call.name.endswith("DataLoader")):
                yield _no_semaphores(f"{source.where}:{call.line}", f"`{_short(call)}`")
        for text, line in texts_in(tree.module):
            if text.startswith("/dev/shm"):  # noqa: S108 - looked for, not written to
                yield _no_semaphores(f"{source.where}:{line}", f"`{text}`")


def _no_semaphores(where: str, what: str) -> Spot:
    return Spot(
        where=where,
        what=f"{what} needs shared memory, and a serverless endpoint has no `/dev/shm`: it ends "
        "with `OSError: [Errno 38] Function not implemented`",
        mend="use threads (`concurrent.futures.ThreadPoolExecutor`), or a realtime endpoint",
    )


def _lazy_loads(project: Project) -> Iterator[Spot]:
    source = project.handler
    if source is None or source.tree is None:
        return
    tree = Tree(source.tree)
    # What the loaders call as well has been done, and kept, by the first request.
    late = tree.reached_from(*_ANSWERERS) - tree.reached_from(*_LOADERS)
    for name in sorted(late, key=lambda name: tree.functions[name].lineno):
        for call in tree.calls(tree.functions[name]):
            is_load = call.name in _LOADS or call.name.endswith(".from_pretrained")
            if is_load or (call.name in _LOADERS[:2] and name in _ANSWERERS):
                yield Spot(
                    where=f"{source.where}:{call.line}",
                    what=f"`{_short(call)}` loads a model while a request waits, which ends after "
                    "60 s, and the endpoint is InService before anybody knows whether it loads",
                    mend="load it in `load_model(model_dir)` and return it from there",
                )


def _exact_types(project: Project) -> Iterator[Spot]:
    for source, tree in _trees(project):
        for node in ast.walk(tree.module):
            match node:
                case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
                    text = text_of(right)
                case _:
                    continue
            name = tree.name(left).rpartition(".")[2].lower()
            if name.endswith(("content_type", "contenttype", "mimetype")) and text and "/" in text:
                yield Spot(
                    where=f"{source.where}:{node.lineno}",
                    what=f'`== "{text}"` does not hold for `{text}; charset=utf-8`, which clients '
                    "send as well",
                    mend=f'compare `{name}.partition(";")[0].strip() == "{text}"`',
                )


def _trees(project: Project) -> Iterator[tuple[Source, Tree]]:
    for source in project.code:
        if source.tree is not None:
            yield source, Tree(source.tree)


def _short(call: Call) -> str:
    """A call as it stands in the file, in a few words."""
    return f"{ast.unparse(call.node.func)}(…)"


def _check(
    name: str,
    severity: Severity,
    tells: str,
    *,
    source: str,
    look: Callable[[Project], Iterator[Spot]],
) -> Check[Project]:
    return Check(name=name, severity=severity, tells=tells, source=source, look=look)


CHECKS: Final[tuple[Check[Project], ...]] = (
    _check(
        "handler-writes",
        Severity.ERROR,
        "the code writes beside the model or to a relative path",
        source="aws/sagemaker-python-sdk#5698",
        look=_writes,
    ),
    _check(
        "handler-downloads",
        Severity.WARNING,
        "the code fetches something from the network",
        source="DG mkt-algo-model-internet-free",
        look=_downloads,
    ),
    _check(
        "handler-installs",
        Severity.ERROR,
        "the code runs pip when an instance starts",
        source="aws/sagemaker-python-sdk#4310",
        look=_installs,
    ),
    _check(
        "handler-semaphores",
        Severity.ERROR,
        "the code needs shared memory, and the endpoint is serverless",
        source="inferred from AWS Lambda, which serverless endpoints build on",
        look=_semaphores,
    ),
    _check(
        "handler-lazy-load",
        Severity.WARNING,
        "the model is loaded by the first request",
        source="API InvokeEndpoint: a container has 60 s",
        look=_lazy_loads,
    ),
    _check(
        "handler-exact-type",
        Severity.NOTE,
        "a content type is compared as a whole, with its parameters",
        source="aws/amazon-sagemaker-examples#3235",
        look=_exact_types,
    ),
)
