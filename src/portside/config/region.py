"""AWS's regions, for a hint where nobody answers in the one that was named."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

REGIONS: Final = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    *("ca-central-1", "ca-west-1", "mx-central-1", "sa-east-1"),
    *("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2"),
    *("eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "me-south-1"),
    *("af-south-1", "ap-south-1", "ap-south-2", "ap-east-1", "ap-east-2"),
    *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
    *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4"),
    *("ap-southeast-5", "ap-southeast-6", "ap-southeast-7"),
    *("cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1", "eusc-de-east-1"),
)
"""Those with SageMaker that anybody may have an account in: `endpoints.json` of botocore 1.44.5."""


def region_hint(region: str) -> str | None:
    """What to do about a region that is none; None for one that is."""
    if region in REGIONS:
        return None
    named = region.strip().lower()
    # Letters in another order first: they are more alike to a reader than to `difflib`.
    nearest = [known for known in REGIONS if sorted(known) == sorted(named)]
    nearest = nearest or get_close_matches(named, REGIONS, n=1)
    if not nearest:
        return (
            f"`{region}` is no region: name yours whole, as in `export AWS_REGION="
            f"{_example(region)}`"
        )
    return f"`{region}` is no region: did you mean `{nearest[0]}`? `export AWS_REGION={nearest[0]}`"


def _example(region: str) -> str:
    """One that begins alike."""
    return next((known for known in REGIONS if known[:2] == region[:2].lower()), REGIONS[0])
