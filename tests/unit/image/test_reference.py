"""Names of images, and which of them SageMaker takes."""

from __future__ import annotations

import pytest

from portside.errors import BuildError
from portside.image.reference import Reference, parse, runtime_image

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "text",
    [
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/portside-runtime:0.1.0",
        f"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app@{DIGEST}",
        f"localhost:5000/app:tag@{DIGEST}",
        "ghcr.io/org/app",
    ],
)
def test_a_full_reference_survives_the_round_trip(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "app", "org/app:1", "ghcr.io/Org/app", "ghcr.io/app:", "x.y/"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BuildError, match="not the full name"):
        parse(text)


def test_what_sagemaker_takes() -> None:
    runtime = runtime_image(account="123456789012", region="eu-west-1", version="0.1.0")

    assert (runtime.is_ecr, runtime.is_runtime) == (True, True)
    assert str(runtime).startswith("123456789012.dkr.ecr.eu-west-1.amazonaws.com/")
    assert not parse("ghcr.io/org/portside-runtime").is_runtime
    assert not Reference(registry=runtime.registry, repository="other").is_runtime
