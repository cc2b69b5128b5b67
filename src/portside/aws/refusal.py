"""The next step after a refusal: AWS says what went wrong, and nearly never what to do (pure)."""

from __future__ import annotations

import json
import re
from typing import Final

from portside.aws.permission import policy_for

THROTTLED: Final = frozenset(
    {
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Source: botocore, `retries.standard.ThrottledRetryableChecker`, as far as our services say so."""

DENIED: Final = frozenset({"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
"""`403` is all that there is of an answer to HEAD, which has no body."""

_NOT_AUTHORIZED: Final = re.compile(r"not authorized to perform: (\S+)(?: on resource: (\S+))?")
"""Source: IAM User Guide, "Troubleshoot access denied error messages"."""

_LIMIT: Final = re.compile(r"service limit '([^']+)'")
"""Of SageMaker: `The account-level service limit 'ml.m5.large for endpoint usage' is 0 …`."""

_SKEWED: Final = ("signature expired", "signature not yet current", "too far from the current time")

_CLOCK: Final = "set this machine's clock: `sudo timedatectl set-ntp true`; `date -u` shows it"
_SIGN_IN: Final = "sign in again: `aws sso login`; then run the same command again"
_KEYS: Final = "check the keys; for the local AWS run `portside local env`"
_SLOWLY: Final = "wait a minute and run the same command again: it goes on from here"

_HINTS: Final = {
    "AuthFailure": _KEYS,
    "BucketAlreadyExists": "deploy to another region: in this one the bucket's name is taken",
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "InvalidAccessKeyId": _KEYS,
    "InvalidClientTokenId": _KEYS,
    "InvalidSignatureException": _KEYS,
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "SignatureDoesNotMatch": _KEYS,
    "UnrecognizedClientException": _KEYS,
    "InternalFailure": "try again; the local AWS says more in the `gateway.log` of its data folder",
    "ServiceUnavailable": "try again in a moment: an instance is being started",
    "ImageTagAlreadyExistsException": "take another tag: the repository lets no tag move",
    "KmsException": "ask for the use of the repository's KMS key: `kms:GenerateDataKey`, "
    "`kms:Decrypt` and `kms:DescribeKey`",
    "LayersNotFoundException": "run the same command again: what is missing is sent anew",
    "LimitExceededException": "ask for more in Service Quotas, or remove what is not needed",
    "RepositoryNotFoundException": "check the repository's name, its account and its region",
    "ServerException": "try again in a moment",
}


def hint_for(service: str, operation: str, *, code: str, message: str) -> str | None:
    """What a user does about a refusal; None where nothing is known."""
    if any(words in message.lower() for words in _SKEWED):
        return _CLOCK
    if code in DENIED:
        return _denied(service, operation, message)
    if code in THROTTLED:
        return _SLOWLY
    if code == "ResourceLimitExceeded":
        return _limited(message)
    return _HINTS.get(code)


def _denied(service: str, operation: str, message: str) -> str:
    """With the policy to ask for: for what AWS names, or else for all that the call needs."""
    if "explicit deny" in message:
        return "ask who keeps the policy that denies it: to be allowed by another does not help"
    found = _NOT_AUTHORIZED.search(message)
    wanted = policy_for(service, operation)
    if found:
        resource = (found[2] or "*").rstrip(".")
        statement = {"Effect": "Allow", "Action": [found[1]], "Resource": [resource]}
        wanted = {"Version": "2012-10-17", "Statement": [statement]}
    if wanted is None:
        return "ask for the action named above to be allowed for your AWS user or role"
    return f"ask for this policy for your AWS user or role:\n{json.dumps(wanted, indent=2)}"


def _limited(message: str) -> str:
    found = _LIMIT.search(message)
    which = f"`{found[1]}`" if found else "it"
    return (
        f"ask for more of {which} in Service Quotas (`portside doctor --target aws` shows what "
        "there is), or choose another `instance_type`"
    )
