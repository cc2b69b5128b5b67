"""What SageMaker says when it refuses, in its own words.

The texts with a source were seen on AWS; the others are ours, in the same
spirit, and say so. `ValidationException` matters: boto3's waiters key on it
(BC waiters-2.json).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from portside.local.protocol.fault import Fault
from portside.local.state.resource import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WORDS: Final = {
    Kind.MODEL: "model",
    Kind.ENDPOINT_CONFIG: "endpoint configuration",
    Kind.ENDPOINT: "endpoint",
}

BUG: Final = "The local SageMaker ran into an error of its own. See its log, gateway.log."
"""Of whatever was not foreseen. Our words; AWS says as little when the fault is its own."""


def invalid(message: str) -> Fault:
    """The control plane's answer to nearly everything that it does not like."""
    return Fault("ValidationException", message)


def not_found(kind: Kind, arn: str) -> Fault:
    """Seen on AWS, hashicorp/terraform-provider-aws#40048."""
    return invalid(f'Could not find {_WORDS[kind]} "{arn}".')


def already_exists(kind: Kind, arn: str) -> Fault:
    """Seen on AWS for endpoints and configurations; by analogy for models.

    aws/sagemaker-python-sdk#101, awslabs/spot-tagging-bot-for-digital-assets#2.
    """
    return invalid(f'Cannot create already existing {_WORDS[kind]} "{arn}".')


def in_progress(arn: str) -> Fault:
    """Seen on AWS: for an update and for a delete alike."""
    return invalid(f'Cannot update in-progress endpoint "{arn}".')


def failed(arn: str) -> Fault:
    """Our words: only DeleteEndpoint may follow on Failed (BC EndpointStatus)."""
    return invalid(f'Cannot update failed endpoint "{arn}". Delete it and create it again.')


def unavailable(message: str) -> Fault:
    """For what may be there in a moment; SDKs try again."""
    return Fault("ServiceUnavailable", message, status=503)


def over_limit(what: str, *, limit: int, current: int, asked: int) -> Fault:
    """Seen on AWS: aws-samples/sagemaker-custom-project-templates#51."""
    return Fault(
        "ResourceLimitExceeded",
        f"The account-level service limit '{what}' is {limit} Instances, with current utilization"
        f" of {current} Instances and a request delta of {asked} Instances. Please contact AWS"
        " support to request an increase for this limit.",
    )


def not_built(what: str) -> Fault:
    """For what SageMaker does and the local SageMaker does not yet: said plainly, not played."""
    return Fault(
        "NotImplementedException", f"{what} is not built in the local SageMaker", status=501
    )


def refuse_unbuilt(params: Mapping[str, Any], members: Iterable[str], *, of: str) -> None:
    """Raise for the first of these members that a request sets."""
    for member in members:
        if params.get(member):
            raise not_built(f"{member} of {of}")
