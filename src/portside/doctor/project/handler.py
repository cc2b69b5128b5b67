"""Checks of the user's functions: that they are there, and can be called as they will be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from portside import contract
from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.project.fact import Project, Source
from portside.doctor.project.tree import Function, Tree, parameters, positional

OWN: Final = ("load_model", "predict", "predict_batch")
TOOLKIT: Final = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
"""Any of these names makes a file a handler; as in `serving.handlers`, which need not be installed
where the doctor is asked."""

HANDLES: Final = frozenset({*TOOLKIT, "predict", "predict_batch"})
"""Functions of which one at least answers; `load_model` alone answers nothing."""

TAKEN: Final = {
    "load_model": ("model_dir",),
    "predict": ("data", "model"),
    "predict_batch": ("batch", "model"),
    "model_fn": ("model_dir",),
    "input_fn": ("data", "content_type"),
    "predict_fn": ("data", "model"),
    "output_fn": ("prediction", "accept"),
    "transform_fn": ("model", "data", "content_type", "accept"),
}
"""What each is called with."""

_COUNTS: Final = {"load_model": (1,), "predict": (2, 3, 1), "predict_batch": (2,)}
"""How many arguments will do; the toolkits' functions may take a context as one more."""

_REPLACED: Final = ("input_fn", "predict_fn", "output_fn")


def _syntax(project: Project) -> Iterator[Spot]:
    for source in filter(None, (project.handler, *project.modules)):
        if source.tree is None:
            yield Spot(
                where=f"{source.where}:{source.line}",
                what=f"this is not Python: {source.flaw}",
                mend=f"see what `python -m py_compile {source.where}` says",
            )


def _functions(project: Project) -> Iterator[Spot]:
    source, tree = _handler(project)
    if source is None or tree is None or tree.imports_everything:
        return
    if tree.defined.isdisjoint(HANDLES):
        app = next((name for name in ("app", "application") if name in tree.defined), None)
        stem = contract.DEFAULT_PROGRAM.removesuffix(".py")  # what any handler's file becomes
        yield Spot(
            where=f"{source.where}:1",
            what="it defines neither `predict` nor a function of AWS's toolkits such as `model_fn`",
            mend=f'set `endpoint.environment` to `{{ PORTSIDE_APP = "{stem}:{app}" }}`'
            if app
            else "define `load_model(model_dir)` and `predict(data, model)`",
        )


def _arity(project: Project) -> Iterator[Spot]:
    source, tree = _handler(project)
    if source is None or tree is None:
        return
    for name, function in tree.functions.items():
        if name in TAKEN and not _fits(name, function):
            offered = ", ".join(TAKEN[name])
            yield Spot(
                where=f"{source.where}:{function.lineno}",
                what=f"`{name}` takes `({', '.join(parameters(function))})` and is called with "
                f"`({offered})`",
                mend=f"define it as `{name}({offered})`",
            )


def _fits(name: str, function: Function) -> bool:
    least, most = positional(function)
    required_keywords = any(default is None for default in function.args.kw_defaults)
    expected = len(TAKEN[name])
    counts = _COUNTS.get(name, (expected, expected + 1))
    fits = (least <= count and (most is None or count <= most) for count in counts)
    return not required_keywords and any(fits)


def _mix(project: Project) -> Iterator[Spot]:
    source, tree = _handler(project)
    if source is None or tree is None or "transform_fn" not in tree.functions:
        return
    replaced = [f"`{name}`" for name in _REPLACED if name in tree.functions]
    if replaced:
        yield Spot(
            where=f"{source.where}:{tree.functions['transform_fn'].lineno}",
            what=f"`transform_fn` stands beside {' and '.join(replaced)}, in place of which it is "
            "called",
            mend="keep `transform_fn` or the others",
        )


def _handler(project: Project) -> tuple[Source | None, Tree | None]:
    """The handler, unless an app answers in its place."""
    source = None if project.has_app else project.handler
    return source, Tree(source.tree) if source and source.tree else None


CHECKS: Final[tuple[Check[Project], ...]] = (
    Check(
        name="handler-syntax",
        severity=Severity.ERROR,
        tells="the handler, or a module beside it, is not Python",
        source="aws/amazon-sagemaker-examples#210",
        look=_syntax,
    ),
    Check(
        name="handler-functions",
        severity=Severity.ERROR,
        tells="the handler defines neither `predict` nor a function of AWS's toolkits",
        source="sagemaker-inference-toolkit, `transformer.py`",
        look=_functions,
    ),
    Check(
        name="handler-arity",
        severity=Severity.ERROR,
        tells="a function cannot be called with what it will be called with",
        source="sagemaker-inference-toolkit, `transformer.py`",
        look=_arity,
    ),
    Check(
        name="handler-mix",
        severity=Severity.ERROR,
        tells="`transform_fn` stands beside the functions that it replaces",
        source="sagemaker-inference-toolkit, `transformer.py`",
        look=_mix,
    ),
)
