"""What is known of the AWS account that is deployed to, as values; `gather` asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """A question that AWS refused: its code, its words, and the next step where one is known."""

    operation: str
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """An endpoint's execution role, as it stands; `is_own` is one that the user made."""

    name: str
    is_own: bool = False
    principals: frozenset[str]
    """The services that may assume it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that a check may ask of the account."""

    account: str = ""
    region: str = ""
    denials: tuple[Denial, ...] = ()
    clock_skew_s: float | None = None
    """How far this machine's clock is ahead of AWS's; None where nobody could tell."""
    quotas: Mapping[str, float] = field(default_factory=dict)
    """Instances for endpoints that the account may have, by type; only what could be asked."""
    wanted: Mapping[str, int] = field(default_factory=dict)
    """Instances that the project wants, by type."""
    roles: tuple[Role, ...] = ()
