"""Checks of what is to be installed, and of what the code imports."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.project.fact import Project
from portside.doctor.project.tree import Tree

_NAMED: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*(?P<version>[^;#]*?)\s*(;.*)?"
)

_DISTRIBUTIONS: Final = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Where a package is not called as it is imported."""

_PROVIDED: Final = frozenset(
    {"httptools", "numpy", "onnxruntime", "orjson", "portside", "tokenizers", "uvloop"}
)
"""In every image that Portside builds: the extra `serve`."""

_VERSION: Final = re.compile(
    r"@.+|\(?\s*((===?|[<>!~]=|[<>])\s*[\w.*+!-]+\s*(,\s*|(?=\)|$)))*\)?\s*"
)
"""What may follow a name: PEP 508."""

_CUDA: Final = re.compile(r"nvidia-.*|cuda-.*|triton|onnxruntime-gpu|.*-cu1\d|.*-gpu")
_CPU_INDEX: Final = re.compile(r"(--index-url|--extra-index-url|-i)[\s=]+\S*/cpu/?\s*$")
_GPU_INSTANCE: Final = re.compile(r"ml\.(g|p)\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A line that names a package; `version` is what it says of it, `line` its number."""

    name: str
    version: str
    line: int


def _missing(project: Project) -> Iterator[Spot]:
    has = installed(project)
    seen = set[str]()
    for source in project.code:
        for name, line in Tree(source.tree).required_imports() if source.tree else ():
            module = name.partition(".")[0]
            package = normal(_DISTRIBUTIONS.get(module, module))
            near = {each for each in has if each.startswith(package.removesuffix("-headless"))}
            is_own = module in project.module_names or module in project.local_modules
            is_own = is_own or project.is_by_folder(name)
            is_known = module in sys.stdlib_module_names or is_own
            if is_known or near or package in seen:
                continue
            seen.add(package)
            yield Spot(
                where=f"{source.where}:{line}",
                what=f"`{module}` is imported, and no requirement names `{package}`",
                mend=f"add a line `{package}` to the file that `image.requirements` names",
            )


def _unused(project: Project) -> Iterator[Spot]:
    if project.requirements is not None and not project.requirements_are_used:
        yield Spot(
            where=project.requirements.where,
            what="nothing installs it: requirements are not installed when an instance starts",
            mend='write `[image]` and `requirements = "requirements.txt"` in `portside.toml`',
        )


def _cuda(project: Project) -> Iterator[Spot]:
    if _has_gpu(project) or project.requirements is None:
        return
    on_cpu_index = any(_CPU_INDEX.match(line.strip()) for line in project.requirements.lines)
    for found in _named(project):
        is_plain_torch = found.name in {"torch", "torchvision", "torchaudio"} and not (
            on_cpu_index or "+cpu" in found.version or "@" in found.version
        )
        if _CUDA.fullmatch(found.name) or "+cu" in found.version or is_plain_torch:
            yield Spot(
                where=f"{project.requirements.where}:{found.line}",
                what=f"`{found.name}` brings gigabytes of CUDA's libraries, and no endpoint here "
                "has a GPU",
                mend=f"write `{found.name}==VERSION+cpu`, below an `--extra-index-url` with "
                "torch's index of builds for CPUs (pytorch.org, Get Started, CPU)"
                if is_plain_torch or "+cu" in found.version
                else f"leave it out, or take `{found.name.removesuffix('-gpu')}` for CPUs",
            )


def _unreadable(project: Project) -> Iterator[Spot]:
    for found in _named(project):
        if project.requirements and not _VERSION.fullmatch(found.version):
            text = project.requirements.lines[found.line - 1].strip()
            yield Spot(
                where=f"{project.requirements.where}:{found.line}",
                what=f"`{text}` is no requirement that an installer reads",
                mend="write `PACKAGE==VERSION`, with the name that the package has on PyPI",
            )


def _unpinned(project: Project) -> Iterator[Spot]:
    loose = [found for found in _named(project) if "==" not in found.version]
    loose = [found for found in loose if "@" not in found.version]
    if loose and project.requirements is not None:
        names = ", ".join(f"`{found.name}`" for found in loose[:5])
        yield Spot(
            where=f"{project.requirements.where}:{loose[0].line}",
            what=f"{len(loose)} of its packages have no exact version ({names}): the next build "
            "may bring others than the model was tried with",
            mend="pin them: `uv pip compile requirements.txt -o requirements.lock.txt`, and name "
            "that file in `image.requirements`",
        )


def _sources(project: Project) -> Iterator[Spot]:
    if project.requirements is None:
        return
    for number, line in enumerate(project.requirements.lines, start=1):
        text = line.partition(" #")[0].strip()
        is_source = re.search(r"(^|[@\s])(git|hg|svn|bzr)\+|\.(tar\.gz|zip|tar\.bz2)(#\S*)?$", text)
        is_folder = re.match(r"(-e|--editable)\b|\.{1,2}(/|$)", text)
        if is_source or is_folder or text.startswith("--no-binary"):
            yield Spot(
                where=f"{project.requirements.where}:{number}",
                what=f"`{text}` is source code, and images are built from wheels alone",
                mend="make a wheel of it (`pip wheel --no-deps -w wheels SOURCE`) and require it "
                "by `--find-links wheels`",
            )


def _headless(project: Project) -> Iterator[Spot]:
    for found in _named(project):
        if found.name in {"opencv-python", "opencv-contrib-python"} and project.requirements:
            yield Spot(
                where=f"{project.requirements.where}:{found.line}",
                what=f"`{found.name}` cannot be imported without a desktop's `libGL.so.1`, which "
                "slim images do not have",
                mend=f"require `{found.name}-headless` instead",
            )


def installed(project: Project) -> frozenset[str]:
    """The packages that an image of the project has, by their normal names."""
    return _PROVIDED.union(requirement.name for requirement in _named(project))


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _named(project: Project) -> Iterator[Requirement]:
    """The lines of a `requirements.txt` that name a package of an index."""
    lines = project.requirements.lines if project.requirements else ()
    for number, line in enumerate(lines, start=1):
        text = re.sub(r"\s--hash=.*|\\$", "", line.partition(" #")[0]).strip()
        found = _NAMED.fullmatch(text)
        if found and not text.startswith("#") and not text.endswith((".whl", ".tar.gz", ".zip")):
            yield Requirement(name=normal(found["name"]), version=found["version"], line=number)


def _has_gpu(project: Project) -> bool:
    types = (name for endpoint in project.endpoints for name in endpoint.instance_types)
    return any(_GPU_INSTANCE.match(name) for name in types)


CHECKS: Final[tuple[Check[Project], ...]] = (
    Check(
        name="requirement-missing",
        severity=Severity.WARNING,
        tells="the code imports a package that no requirement names",
        source="aws/sagemaker-python-sdk#4115",
        look=_missing,
    ),
    Check(
        name="requirements-unused",
        severity=Severity.WARNING,
        tells="there is a `requirements.txt` that nothing installs",
        source="aws/sagemaker-pytorch-inference-toolkit#91",
        look=_unused,
    ),
    Check(
        name="requirement-cuda",
        severity=Severity.WARNING,
        tells="packages for GPUs are required, and no endpoint has one",
        source="pytorch/pytorch#17621",
        look=_cuda,
    ),
    Check(
        name="requirement-unreadable",
        severity=Severity.ERROR,
        tells="a line names no package and version",
        source="PEP 508",
        look=_unreadable,
    ),
    Check(
        name="requirement-source",
        severity=Severity.ERROR,
        tells="a requirement would have to be compiled",
        source="docs/reference/build.md",
        look=_sources,
    ),
    Check(
        name="requirement-desktop",
        severity=Severity.WARNING,
        tells="a package needs a desktop's libraries",
        source="opencv/opencv-python, README",
        look=_headless,
    ),
    Check(
        name="requirement-unpinned",
        severity=Severity.NOTE,
        tells="requirements without an exact version",
        source="aws/amazon-sagemaker-from-idea-to-production#9",
        look=_unpinned,
    ),
)
