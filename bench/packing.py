"""A checkpoint to `model.tar.gz`, beside `tar zcvf model.tar.gz *`, as a tutorial packs it.

    fp32      the benchmark's checkpoint by tar and by Portside
    trained   with what a Trainer saves beside it: all by tar; by Portside, which leaves that out
    int8      the quantized artifact's files by Portside
    sparse    3 GB by Portside, to see how much memory that takes

Each is a process of its own that starts with the files in the page cache, and each
artifact is unpacked and compared with what it was made of. Export and quantization
are not counted: what they make is there already.

    python -m bench.packing FOLDER ARCHIVE      is the process on Portside's side
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from bench.place import ROOT, WORK, say
from portside import archive
from portside.artifact.folder.content import read_content

if TYPE_CHECKING:
    # For the measured process this module is all there is to import.
    from bench.model import Models

FOLDER: Final = WORK / "packing"

SPARSE_BYTES: Final = 3_000_000_000
SPARSE_STEP: Final = 16 * 1024 * 1024
SPARSE_NOISE: Final = 1024 * 1024
"""Of each step this much is random, and the rest are holes."""

SAMPLE_S: Final = 0.02

EXPECTED_MEMORY_BYTES: Final = 300_000_000
"""What packing may take, however large the files are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One archive, made by one process."""

    seconds: float
    source_bytes: int
    """Of the files that it was made from, those left out too."""
    size_bytes: int
    peak_bytes: int
    """Most resident memory of the process and its children."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """All archives; `trained` are those of the folder with the training's files."""

    tar_fp32: Made
    fp32: Made
    tar_trained: Made
    trained: Made
    int8: Made
    sparse: Made


def measure_packing(models: Models) -> Packing:
    """Make every archive once: the bars are far from where the noise is."""
    plain, trained = _plain(models.checkpoint), _trained(models.checkpoint)
    made = FOLDER / "made"
    shutil.rmtree(made, ignore_errors=True)
    try:
        return Packing(
            tar_fp32=_by_tar(plain, made),
            fp32=pack_and_compare(plain, made),
            tar_trained=_by_tar(trained, made),
            trained=pack_and_compare(trained, made),
            int8=pack_and_compare(models.int8, made),
            sparse=_by_portside(_sparse(made), made),
        )
    finally:
        shutil.rmtree(made, ignore_errors=True)


# --- What is packed -------------------------------------------------------------


def _plain(checkpoint: Path) -> Path:
    """The checkpoint in a folder of its own."""
    folder = FOLDER / "fp32"
    if not folder.is_dir():
        shutil.copytree(checkpoint, folder)
    return folder


def _trained(checkpoint: Path) -> Path:
    """The checkpoint as transformers' Trainer saves it, with the state of AdamW."""
    folder = FOLDER / "trained"
    if (folder / "optimizer.pt").is_file():
        return folder
    say("making the state of an optimizer")
    # Slow to import, and not needed once the state is there.
    import torch  # noqa: PLC0415
    from safetensors import safe_open  # noqa: PLC0415

    shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
    torch.manual_seed(1)
    state = {}
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        for index, name in enumerate(weights.keys()):
            gradient = torch.randn_like(weights.get_tensor(name))
            # Averages of gradients of some 1e-4, and of their squares.
            averages = {"exp_avg": gradient * 1e-4, "exp_avg_sq": gradient.square() * 1e-8}
            state[index] = {"step": torch.tensor(1756.0), **averages}
    groups = [{"lr": 5e-5, "betas": (0.9, 0.999), "params": list(state)}]
    torch.save(torch.get_rng_state(), folder / "rng_state.pth")
    torch.save({"last_epoch": 1756}, folder / "scheduler.pt")
    (folder / "trainer_state.json").write_text('{"global_step": 1756}', encoding="utf-8")
    torch.save({"state": state, "param_groups": groups}, FOLDER / "optimizer.pt")
    (FOLDER / "optimizer.pt").replace(folder / "optimizer.pt")
    return folder


def _sparse(around: Path) -> Path:
    """A folder with one file of 3 GB, most of it holes."""
    folder = around / "sparse"
    folder.mkdir(parents=True)
    noise = random.Random(1).randbytes(SPARSE_NOISE)  # noqa: S311 - data to pack
    with (folder / "weights").open("wb") as file:
        for place in range(0, SPARSE_BYTES - SPARSE_NOISE, SPARSE_STEP):
            file.seek(place)
            file.write(noise)
        file.truncate(SPARSE_BYTES)
    return folder


# --- Who packs ------------------------------------------------------------------


def pack_and_compare(folder: Path, made: Path) -> Made:
    """By Portside, into the folder `made`; raises unless it unpacks to what was not left out."""
    seen = _by_portside(folder, made)
    unpacked = made / "unpacked"
    archive.unpack(made / f"{folder.name}.tar.gz", unpacked)
    files = read_content(folder).files
    there = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    same = all(
        archive.digest(file.source) == archive.digest(unpacked / file.path) for file in files
    )
    shutil.rmtree(unpacked)
    if not same or there != {str(file.path) for file in files}:
        raise RuntimeError(f"the archive of `{folder}` does not unpack to its files")
    return seen


def _by_portside(folder: Path, made: Path) -> Made:
    say(f"packing `{folder.name}` with Portside")
    output = made / f"{folder.name}.tar.gz"
    command = [sys.executable, "-m", "bench.packing", str(folder), str(output)]
    return _made(command, folder, output, where=ROOT)


def _by_tar(folder: Path, made: Path) -> Made:
    say(f"packing `{folder.name}` with tar")
    output = made / f"tar-{folder.name}.tar.gz"
    names = sorted(path.name for path in folder.iterdir())
    return _made(["tar", "zcvf", str(output), *names], folder, output, where=folder)


def _made(command: Sequence[str], folder: Path, output: Path, *, where: Path) -> Made:
    output.parent.mkdir(parents=True, exist_ok=True)
    files = [path for path in folder.iterdir() if path.is_file()]
    for path in files:
        archive.digest(path)  # so that it is in the page cache
    began = time.perf_counter()
    process = psutil.Popen(command, cwd=where, stdout=subprocess.DEVNULL)
    peak_bytes = 0
    while process.poll() is None:
        peak_bytes = max(peak_bytes, _resident_bytes(process))
        time.sleep(SAMPLE_S)
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise RuntimeError(f"`{command[0]}` ended with {process.returncode}")
    return Made(
        seconds=seconds,
        source_bytes=sum(path.stat().st_size for path in files),
        size_bytes=output.stat().st_size,
        peak_bytes=peak_bytes,
    )


def _resident_bytes(process: psutil.Process) -> int:
    """Of the process and its children, as far as they are there still.

    Sampled, because what the system says of a process that ended counts in what its
    parent held when it began.
    """
    total = 0
    with suppress(psutil.Error):
        for each in (process, *process.children()):
            total += each.memory_info().rss
    return total


def _pack(folder: Path, output: Path) -> None:
    files = read_content(folder).files
    archive.pack(
        [archive.Member(name=str(file.path), source=file.source) for file in files], output
    )


if __name__ == "__main__":
    _pack(Path(sys.argv[1]), Path(sys.argv[2]))
