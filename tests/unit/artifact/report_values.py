"""A report as a value, with figures as they come: an example, measured nowhere."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from portside.artifact.bundle import Artifact
from portside.artifact.folder.content import LeftOut
from portside.artifact.proof.proof import (
    Asked,
    Candidate,
    Figures,
    Gate,
    Likeness,
    Proof,
    SampleSet,
    Verdict,
)
from portside.artifact.report.report import Machine, Report

MB = 1_000_000


def make_figures(p50_ms: float, *, size_mb: float = 90.0, **others: Any) -> Figures:
    """Latencies are spread about `p50_ms` as those of texts of unlike length are."""
    draw = random.Random(17)  # noqa: S311 - the same figures at each run
    spread = sorted(p50_ms * draw.lognormvariate(0, 0.35) for _ in range(412))
    figures = Figures(
        size_bytes=round(size_mb * MB),
        load_s=0.4,
        resident_bytes=300 * MB,
        latencies_ms=tuple(spread),
        texts_per_s=1_300 / p50_ms,
    )
    return replace(figures, **others)


def make_candidate(name: str = "int8", **others: Any) -> Candidate:
    candidate = Candidate(
        name=name,
        precision="int8",
        figures=make_figures(3.1, size_mb=22.9),
        likeness=Likeness(largest_difference=0.41, agreement=0.998, f1_before=61.2, f1_after=61.1),
        verdict=Verdict.CHOSEN,
        reason="passes the gate, 2.6 times as fast as fp32, 1/3.4 of its size",
    )
    return replace(candidate, **others)


def make_proof(**others: Any) -> Proof:
    proof = Proof(
        model="an example, measured nowhere: BERT, 6 layers, 22.6 M parameters, 13 labels",
        task="token-classification",
        samples=SampleSet(source="samples.conll", texts=412, labeled=True),
        gate=Gate(),
        original=make_figures(14.2, size_mb=90.4, load_s=4.6, resident_bytes=689 * MB),
        candidates=(
            make_candidate(
                "fp32",
                precision="fp32",
                figures=make_figures(9.2, size_mb=90.6, load_s=0.7, resident_bytes=331 * MB),
                likeness=Likeness(
                    largest_difference=0.00002, agreement=1.0, f1_before=61.2, f1_after=61.2
                ),
                verdict=Verdict.NOT_NEEDED,
                reason="int8, per channel, with section 5 in fp32 is faster and passes the gate",
            ),
            make_candidate(
                figures=make_figures(3.0, size_mb=22.8, load_s=0.4, resident_bytes=171 * MB),
                likeness=Likeness(
                    largest_difference=1.34, agreement=0.981, f1_before=61.2, f1_after=60.4
                ),
                verdict=Verdict.REFUSED,
                reason="answers agree to 98.10 %, below the 99.50 % asked for; F1 falls by 0.80 "
                "points, from 61.20 to 60.40, and 0.2 are allowed",
            ),
            make_candidate(
                "int8, per channel",
                figures=make_figures(3.2, size_mb=22.9, load_s=0.4, resident_bytes=173 * MB),
                likeness=Likeness(
                    largest_difference=0.87, agreement=0.9939, f1_before=61.2, f1_after=61.0
                ),
                verdict=Verdict.REFUSED,
                reason="answers agree to 99.39 %, below the 99.50 % asked for",
            ),
            make_candidate(
                "int8, per channel, with section 5 in fp32",
                figures=make_figures(3.5, size_mb=26.4, load_s=0.4, resident_bytes=180 * MB),
            ),
        ),
        asked=(
            Asked(
                inputs="Ada met Grace",
                parameters={"aggregation_strategy": "average"},
                found=frozenset({("PER", 8, 13), ("PER", 0, 3)}),
                is_exclusive=True,
            ),
        ),
        took_s=48.3,
    )
    return replace(proof, **others)


def make_artifact(**others: Any) -> Artifact:
    artifact = Artifact(
        path=Path("/home/ada/project/.portside/model.tar.gz"),
        digest="7d0f1a4be2c85f39" * 4,
        size_bytes=19_800_000,
        members=("config.json", "model.onnx", "model.onnx.data", "tokenizer.json"),
        left_out=(
            LeftOut(
                path=PurePosixPath("checkpoint-500"),
                size_bytes=272 * MB,
                reason="earlier checkpoint",
            ),
            LeftOut(
                path=PurePosixPath("model.safetensors"),
                size_bytes=90_400_000,
                reason="exported to ONNX",
            ),
            LeftOut(
                path=PurePosixPath("optimizer.pt"), size_bytes=181 * MB, reason="optimizer state"
            ),
            LeftOut(
                path=PurePosixPath("trainer_state.json"), size_bytes=4_100, reason="trainer state"
            ),
        ),
    )
    return replace(artifact, **others)


def make_example(**others: Any) -> Report:
    report = Report(
        proof=make_proof(),
        artifact=make_artifact(),
        machine=Machine(cpu="an example's processor", cores=2),
        versions={"portside": "0.1.0", "onnxruntime": "1.23.0", "torch": None},
    )
    return replace(report, **others)
