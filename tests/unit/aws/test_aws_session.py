"""How what goes wrong on the way to AWS is told."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError

from portside.aws.session import PassingError, explained


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("https://sts.us-esat-1.amazonaws.com/", "did you mean `us-east-1`?"),
        ("https://api.sagemaker.eu-wst-1.amazonaws.com/", "did you mean `eu-west-1`?"),
        ("https://s3.us-east-1.amazonaws.com/bucket", "check the network"),
        ("https://iam.amazonaws.com/", "check the network"),
        ("http://127.0.0.1:4566/", "`portside local status`"),
    ],
)
def test_a_region_that_is_none_is_told_where_nobody_answers(url: str, hint: str) -> None:
    with pytest.raises(PassingError) as caught, explained("sts", "GetCallerIdentity"):
        raise EndpointConnectionError(endpoint_url=url)

    assert hint in str(caught.value.hint)
