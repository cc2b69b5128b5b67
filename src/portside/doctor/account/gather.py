"""Ask the AWS account: who we are, what time it is there, what we may have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from portside import config
from portside.aws import iam
from portside.aws.session import Session
from portside.deploy.desired.name import POLICY, role_name
from portside.doctor.account.fact import Account, Denial, Role
from portside.errors import PortsideError, RemoteError

_CLOCK_TIMEOUT_S: Final = 5.0

T = TypeVar("T")

Quota = Callable[[Session, str], float | None]
"""How many instances of a type the account may have for endpoints; None where nobody knows."""


def gather(
    connect: Callable[[], Session],
    project: config.Project | None,
    *,
    quota: Quota,
    clock: Callable[[str], datetime | None],
    now_s: Callable[[], float] = time.time,
) -> Account:
    """The facts of the account that `connect` leads to; what it refuses is a fact, too.

    `clock` tells AWS's time, for a region.
    """
    try:
        session = connect()
    except PortsideError as error:
        return Account(denials=(_denial(error),))
    skew_s = _skew_s(clock(session.region), now_s())
    try:
        account = session.account
    except PortsideError as error:
        return Account(region=session.region, clock_skew_s=skew_s, denials=(_denial(error),))
    wanted = _instances(project) if project else {}
    denials: list[Denial] = []
    quotas = _asked(lambda: _quotas(session, wanted, quota), denials) or {}
    roles = _asked(lambda: tuple(_roles(session, project)), denials) if project else ()
    return Account(
        account=account,
        region=session.region,
        clock_skew_s=skew_s,
        denials=tuple(denials),
        quotas=quotas,
        wanted=wanted,
        roles=roles or (),
    )


def aws_time(region: str) -> datetime | None:
    """The time by the clock of a service of AWS's; None where it cannot be reached.

    Any answer tells it, a refusal too.
    """
    return time_at(f"https://sts.{region}.amazonaws.com/")


def time_at(url: str) -> datetime | None:
    """The time by the clock of a web server."""
    request = Request(url, method="HEAD")  # noqa: S310 - only called with https and in tests
    try:
        with urlopen(request, timeout=_CLOCK_TIMEOUT_S) as answer:  # noqa: S310 - see above
            date = answer.headers.get("Date")
    except HTTPError as error:
        date = error.headers.get("Date")
    except (URLError, OSError, ValueError):
        return None
    try:
        return parsedate_to_datetime(date) if date else None
    except ValueError:
        return None


def _skew_s(theirs: datetime | None, ours_s: float) -> float | None:
    return None if theirs is None else ours_s - theirs.timestamp()


def _denial(error: PortsideError) -> Denial:
    operation, code = "configure", type(error).__name__
    if isinstance(error, RemoteError):
        operation, code = f"{error.service}:{error.operation}", error.code
    return Denial(operation=operation, code=code, message=error.message, hint=error.hint or "")


def _asked(ask: Callable[[], T], denials: list[Denial]) -> T | None:
    try:
        return ask()
    except PortsideError as error:
        denials.append(_denial(error))
        return None


def _instances(project: config.Project) -> dict[str, int]:
    wanted: dict[str, int] = {}
    for endpoint in project.endpoints:
        match endpoint.settings:
            case config.Realtime(variants=variants) as realtime if variants:
                for variant in variants:
                    name = variant.instance_type or realtime.instance_type
                    count = variant.instance_count or realtime.instance_count
                    wanted[name] = wanted.get(name, 0) + count
            case config.InstanceSection(instance_type=name, instance_count=count):
                wanted[name] = wanted.get(name, 0) + count
            case _:
                pass
    return wanted


def _quotas(session: Session, wanted: Iterable[str], quota: Quota) -> Mapping[str, float]:
    told = {name: quota(session, name) for name in wanted}
    return {name: value for name, value in told.items() if value is not None}


def _roles(session: Session, project: config.Project) -> Iterator[Role]:
    """Those of the project's endpoints, as far as there are any: Portside's, or the user's own."""
    for endpoint in project.endpoints:
        own = endpoint.settings.role
        name = own.rpartition("/")[2] if own else role_name(endpoint.name, region=session.region)
        found = iam.get_role(session, name, policy_name=POLICY)
        if found is not None:
            yield Role(name=name, is_own=bool(own), principals=frozenset(_principals(found.trust)))


def _principals(trust: Mapping[str, Any]) -> Iterator[str]:
    """The services that a trust policy lets assume the role."""
    statements = trust.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        match statement:
            case {"Effect": "Allow", "Principal": {"Service": str(service)}}:
                yield service
            case {"Effect": "Allow", "Principal": {"Service": list(services)}}:
                yield from map(str, services)
            case _:
                pass
