"""Checks of the AWS account that is deployed to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from portside.config.region import region_hint
from portside.doctor.account.fact import Account
from portside.doctor.finding import Check, Severity, Spot

MOST_SKEW_S: Final = 240.0
"""AWS refuses what was signed over five minutes ago, or ahead; a minute for the way there.
Source: IAM user guide, "Signature Version 4": `Signature expired`."""

_SAGEMAKER: Final = "sagemaker.amazonaws.com"

_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_NO_KEYS: Final = frozenset({"NoCredentials", "NoCredentialsError"})
_UNREACHABLE: Final = "Unreachable"
"""As `aws.session` has it."""
_NOT_ALLOWED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


def _credentials(account: Account) -> Iterator[Spot]:
    for denial in account.denials:
        if denial.code in _NOT_ALLOWED:
            continue
        if denial.code in _EXPIRED:
            mend = "sign in again: `aws sso login`, or take fresh keys of the role"
        elif denial.code in _NO_KEYS:
            mend = "run `aws configure` or `aws sso login`"
        elif denial.code == _UNREACHABLE and (hint := region_hint(account.region)):
            mend = hint
        else:
            mend = denial.hint or "look at `aws configure list`"
        yield Spot(where=denial.operation, what=denial.message, mend=mend)


def _permission(account: Account) -> Iterator[Spot]:
    for denial in account.denials:
        if denial.code in _NOT_ALLOWED:
            yield Spot(
                where=denial.operation,
                what=f"the doctor could not look: {denial.message}",
                mend=f"allow `{denial.operation}` for your user or role, or look at it by hand",
            )


def _clock(account: Account) -> Iterator[Spot]:
    skew_s = account.clock_skew_s
    if skew_s is not None and abs(skew_s) > MOST_SKEW_S:
        yield Spot(
            where="this machine's clock",
            what=f"it is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} AWS's, which "
            "refuses signatures of another time",
            mend="set it: `sudo timedatectl set-ntp true`",
        )


def _quota(account: Account) -> Iterator[Spot]:
    for name, count in account.wanted.items():
        allowed = account.quotas.get(name)
        if allowed is not None and allowed < count:
            yield Spot(
                where=f"{name} for endpoint usage",
                what=f"the account may have {allowed:.0f} of them in {account.region}, and the "
                f"project wants {count}",
                mend="ask for more in Service Quotas (`aws service-quotas list-service-quotas "
                "--service-code sagemaker`), or choose another `instance_type`",
            )


def _trust(account: Account) -> Iterator[Spot]:
    for role in account.roles:
        if _SAGEMAKER not in role.principals:
            yield Spot(
                where=f"role {role.name}",
                what=f"its trust policy does not let `{_SAGEMAKER}` assume it",
                mend=f"add it: `aws iam update-assume-role-policy --role-name {role.name} …`"
                if role.is_own
                else "run `portside deploy --target aws`, which mends it",
            )


CHECKS: Final[tuple[Check[Account], ...]] = (
    Check(
        name="aws-credentials",
        severity=Severity.ERROR,
        tells="no region, no keys, expired or wrong ones, or AWS cannot be reached",
        source="API CommonErrors",
        look=_credentials,
    ),
    Check(
        name="aws-clock",
        severity=Severity.ERROR,
        tells="this machine's clock is off",
        source="IAM user guide, Signature Version 4",
        look=_clock,
    ),
    Check(
        name="aws-quota",
        severity=Severity.ERROR,
        tells="the account may not have as many instances of the type; new accounts have none",
        source="awsdocs/amazon-sagemaker-developer-guide#70",
        look=_quota,
    ),
    Check(
        name="aws-trust",
        severity=Severity.ERROR,
        tells="SageMaker may not assume an endpoint's role",
        source="DG sagemaker-roles",
        look=_trust,
    ),
    Check(
        name="aws-permission",
        severity=Severity.NOTE,
        tells="the doctor may not look",
        source="API CommonErrors",
        look=_permission,
    ),
)
