"""`portside build`, beside `podman build` of the image that a tutorial ends up with.

    both     from one base that lies on this machine, and from package caches on this machine
    answers  both images run with `serve`, asked the same texts: no figure without agreement
    ours     from an empty layout, unchanged, the code changed; pushed, pushed again
    bytes    two clean builds in other folders, under another umask, at another time: one digest
    arm64    built on this machine, looked at by skopeo
    memory   a file of 1.5 GB that cannot be compressed, built and pushed

Portside's is the example `examples/ner` with a handler, so that there is code to change.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.agreement import Agreement, check_agreement
from bench.image_place import (
    FOLDER,
    TORCH,
    TUTORIAL,
    Registry,
    make_base,
    make_wheels,
    running_registry,
)
from bench.model import Models
from bench.place import ROOT, WORK, say
from bench.podman import Podman, own_podman
from bench.server import Answer, Server, predict, running

MOST_FIRST_S: Final = 6.0
MOST_CHANGE_S: Final = 1.0
MOST_PUSHED_BYTES: Final = 200_000
MOST_MEMORY_BYTES: Final = 300_000_000

ROUNDS: Final = 3
COMPARED: Final = 32
_SAMPLE_S: Final = 0.02
_LARGE_BYTES: Final = 1_500_000_000
_NOISE_BYTES: Final = 50_000_000
"""Repeated at a distance that no gzip looks back."""

_PROGRAMS: Final = ("podman", "runc", "skopeo", "mmdebstrap", "docker-registry")
_BASE: Final = "localhost/portside-bench:base"
_TUTORIAL_IMAGE: Final = "localhost/portside-bench:tutorial"

_HANDLER: Final = """\
import json


def input_fn(data, content_type):
    return json.loads(data)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One run of `portside build`, or the median of some."""

    seconds: float
    peak_bytes: int
    """Most resident memory of the command and its processes together."""
    sent_bytes: int = 0
    """That a registry kept more than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpeed:
    """All builds; sizes are unpacked, without the base."""

    agreement: Agreement
    podman_s: float
    podman_bytes: int
    first: Build
    size_bytes: int
    unchanged: Build
    changed: Build
    pushed: Build
    """Of the whole image to an empty registry, built before."""
    changed_pushed: Build
    pushed_again: Build
    arm64: Build
    large: Build


def measure_image(models: Models, texts: Sequence[str]) -> ImageSpeed | None:
    """All of it; None where a program is missing, or this is not root's."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing or os.getuid() != 0:
        say(f"images are not measured: {', '.join(missing) or 'root'} is missing")
        return None
    wheels = make_wheels()
    with own_podman() as podman, running_registry() as registry:
        podman("import", make_base("amd64"), _BASE)
        base = FOLDER / "base"  # as a registry has it, and podman already
        shutil.rmtree(base, ignore_errors=True)
        podman("push", _BASE, f"oci:{base}")
        project = _project("ner")
        _build(project, base)  # so that the cache of wheels is warm
        say("building the tutorial's image with podman")
        podman_s = _by_podman(podman, wheels)
        first, made = _first(project, base)
        # The registry counts, and the program that is looked at is the one that ran.
        pushed, _ = _build(project, base, "--push", f"{registry.host}/ner:1", registry=registry)
        podman("pull", "--tls-verify=false", f"{registry.host}/ner:1")
        agreement = _compare(podman, models, texts[:COMPARED], f"{registry.host}/ner:1")
        unchanged, _ = _build(project, base)
        again, _ = _build(project, base, "--push", f"{registry.host}/ner:1", registry=registry)
        changed = [_changed(project, base, number) for number in range(ROUNDS)]
        target = f"{registry.host}/ner:2"
        (project / "inference.py").write_text(f"{_HANDLER}# another\n", encoding="utf-8")
        changed_pushed, _ = _build(project, base, "--push", target, registry=registry)
        _check_digests(made["digest"], base)
        return ImageSpeed(
            agreement=agreement,
            podman_s=podman_s,
            podman_bytes=_size(podman, _TUTORIAL_IMAGE) - _size(podman, _BASE),
            first=first,
            size_bytes=sum(
                layer["size_bytes"] for layer in made["layers"] if layer["kind"] != "base"
            ),
            unchanged=unchanged,
            changed=_median(changed),
            pushed=pushed,
            changed_pushed=changed_pushed,
            pushed_again=again,
            arm64=_arm64(project),
            large=_large(base, registry),
        )


# --- The two images ---------------------------------------------------------------------


def _project(name: str) -> Path:
    """The example, with a handler that answers as its model does by itself."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    source = ROOT / "examples" / "ner"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".portside", "model"))
    (folder / "inference.py").write_text(_HANDLER, encoding="utf-8")
    # The image holds no model: any will do.
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}", encoding="utf-8")
    return folder


def _by_podman(podman: Podman, wheels: Path) -> float:
    """Everything anew, as after a change of the requirements; how long it took."""
    began = time.perf_counter()
    podman(
        "build",
        "--no-cache",
        *("--network", "none"),  # nothing is fetched
        *("--volume", f"{wheels}:/wheels:ro"),
        *("--build-arg", f"TORCH={TORCH}"),
        *("--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/wheels"),
        *("--tag", _TUTORIAL_IMAGE),
        TUTORIAL,
    )
    return time.perf_counter() - began


def _size(podman: Podman, image: str) -> int:
    return int(podman("image", "inspect", "--format", "{{.Size}}", image))


def _compare(podman: Podman, models: Models, texts: Sequence[str], image: str) -> Agreement:
    """Both as SageMaker starts them, with the same model."""
    say("comparing what both images answer")
    expected = _answers(podman, _TUTORIAL_IMAGE, models.checkpoint, texts)
    return check_agreement(texts, expected, _answers(podman, image, models.fp32, texts))


def _answers(podman: Podman, image: str, model: Path, texts: Sequence[str]) -> list[Answer]:
    server = Server(
        name=f"image {image.rpartition(':')[2]}",
        argv=(
            *("podman", "run", "--rm", "--publish", "127.0.0.1:{port}:8080"),
            *("--volume", f"{model}:/opt/ml/model:ro", image, "serve"),
        ),
        environment=podman.environment,
        folder=WORK,
    )
    with running(server, WORK) as started:
        started.wait_for_ping()
        with started.connect() as connection:
            return predict(connection, list(texts))


# --- Portside's builds ------------------------------------------------------------------


def _first(project: Path, base: Path) -> tuple[Build, dict[str, Any]]:
    builds = []
    for number in range(ROUNDS):
        say(f"building with Portside from an empty layout, round {number + 1} of {ROUNDS}")
        shutil.rmtree(project / ".portside")
        built, made = _build(project, base)
        builds.append(built)
    return _median(builds), made


def _changed(project: Path, base: Path, number: int) -> Build:
    (project / "inference.py").write_text(f"{_HANDLER}# change {number}\n", encoding="utf-8")
    return _build(project, base)[0]


def _arm64(project: Path) -> Build:
    say("building for arm64")
    output = FOLDER / "arm64"
    shutil.rmtree(output, ignore_errors=True)
    options = ("--platform", "linux/arm64", "--output", str(output))
    built, _ = _build(project, make_base("arm64"), *options)
    seen = subprocess.run(
        ["skopeo", "inspect", f"oci:{output}"], capture_output=True, text=True, check=True
    )
    if json.loads(seen.stdout)["Architecture"] != "arm64":
        raise SystemExit("bench: skopeo says that the image is not for arm64")
    return built


def _large(base: Path, registry: Registry) -> Build:
    say("building and pushing a layer of 1.5 GB")
    folder = FOLDER / "large"
    code = folder / "code"
    shutil.rmtree(folder, ignore_errors=True)
    code.mkdir(parents=True)
    (folder / "portside.toml").write_text('[handler]\nfile = "code/inference.py"\n', "utf-8")
    (code / "inference.py").write_text(_HANDLER, encoding="utf-8")
    noise = random.Random(1).randbytes(_NOISE_BYTES)  # noqa: S311 - data to pack
    with (code / "weights").open("wb") as file:
        for _ in range(_LARGE_BYTES // _NOISE_BYTES):
            file.write(noise)
    try:
        target = f"{registry.host}/large:1"
        return _build(folder, base, "--push", target, registry=registry)[0]
    finally:
        shutil.rmtree(folder)


def _check_digests(digest: str, base: Path) -> None:
    """A clean build in another folder, under another umask, of files of another time."""
    other = _project("elsewhere/ner")
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    again = _build(other, base, umask=0o077)[1]["digest"]
    shutil.rmtree(other)
    if again != digest:
        raise SystemExit(f"bench: two builds gave `{digest}` and `{again}`")


def _build(
    folder: Path,
    base: Path,
    *options: str,
    registry: Registry | None = None,
    umask: int = 0o022,
) -> tuple[Build, dict[str, Any]]:
    """One run of the command, and what it said as JSON."""
    before = registry.size_bytes() if registry else 0
    command = [sys.executable, "-m", "portside", "build", str(folder), "--base", str(base)]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        umask=umask,
    ) as process:
        peak_bytes = _watch(process)
        seconds = time.perf_counter() - began
        output, errors = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"bench: cannot build the image of `{folder}`:\n{errors}")
    sent_bytes = registry.size_bytes() - before if registry else 0
    return Build(seconds=seconds, peak_bytes=peak_bytes, sent_bytes=sent_bytes), json.loads(output)


def _watch(process: subprocess.Popen[str]) -> int:
    """Until it has ended; what it prints fits into the pipes."""
    parent, peak_bytes = psutil.Process(process.pid), 0
    while process.poll() is None:
        with suppress(psutil.Error):  # one of them has just ended
            family = [parent, *parent.children(recursive=True)]
            peak_bytes = max(peak_bytes, sum(each.memory_info().rss for each in family))
        time.sleep(_SAMPLE_S)
    return peak_bytes


def _median(builds: Sequence[Build]) -> Build:
    return Build(
        seconds=statistics.median(build.seconds for build in builds),
        peak_bytes=max(build.peak_bytes for build in builds),
    )
