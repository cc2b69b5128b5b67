"""What the benchmark says of packing, from figures that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.packing import Made
    from bench.result import Result

pytestmark = pytest.mark.usefixtures("bench_is_importable")


def made(seconds: float, megabytes: int, peak: int = 50) -> Made:
    from bench.packing import Made

    return Made(
        seconds=seconds,
        source_bytes=800_000_000,
        size_bytes=1_000_000 * megabytes,
        peak_bytes=1_000_000 * peak,
    )


def result() -> Result:
    from bench.packing import Packing
    from bench.result import Result, describe_machine, describe_texts

    packing = Packing(
        tar_fp32=made(12, 246),
        fp32=made(3, 246),
        tar_trained=made(36, 736),
        trained=made(3, 246),
        int8=made(1, 46),
        sparse=made(8, 191, peak=60),
    )
    return Result(
        command="make bench",
        date="2026-01-01",
        seconds=60,
        load_average=0.1,
        generator="wrk",
        machine=describe_machine(),
        versions={"portside": "1"},
        texts=describe_texts(["one"]),
        rounds=1,
        agreements=None,
        tasks=None,
        limit=None,
        no_op=None,
        overload=None,
        packing=packing,
    )


def test_bars_are_ratios_to_tar_in_the_run():
    from bench.bar import make_bars

    bars = make_bars(result())

    assert [(bar.figure, bar.is_met) for bar in bars] == [
        (0.0625, True),  # int8: a sixteenth of the bytes
        (36.0, True),
        (12.0, True),
        (4.0, True),
        (0.2, True),  # 60 of 300 MB
    ]


def test_a_bar_that_is_missed():
    from bench.bar import make_bars

    good = result()
    assert good.packing is not None
    slow = replace(good.packing, fp32=made(4.1, 246), sparse=made(8, 191, peak=301))

    bars = make_bars(replace(good, packing=slow))

    assert [bar.is_met for bar in bars] == [True, True, True, False, False]


def test_the_page_has_a_row_for_each_archive():
    from bench.page import make_page

    page = make_page(result())

    assert "## A checkpoint to an archive" in page
    row = next(line for line in page.splitlines() if line.startswith("| int8 graph"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["1.00", "800", "46.0", "50.0"]


def test_packing_as_the_benchmark_does_it(tmp_path: Path):
    """The measured process on a folder of a few bytes, unpacked and compared."""
    from bench import packing

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(100_000))
    (folder / "optimizer.pt").write_bytes(bytes(200_000))

    seen = packing.pack_and_compare(folder, tmp_path / "made")

    assert seen.source_bytes == 300_000
    assert 0 < seen.size_bytes < 10_000
    assert seen.peak_bytes > 1_000_000
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["model.tar.gz"]
