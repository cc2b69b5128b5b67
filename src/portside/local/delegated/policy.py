"""IAM's decision: whether policies allow an action on a resource.

    any Deny that applies ─▶ no
    else any Allow that applies ─▶ yes, within the permissions boundary
    else ─▶ no

Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements". Policies
are taken as IAM keeps them, parsed JSON. A condition that cannot be evaluated here (an
operator or a key that is not known) is decided in the caller's favor and logged: it is met
in an Allow and not met in a Deny.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias

Document: TypeAlias = Mapping[str, Any]
"""A policy: `Version` and `Statement`, one or a list."""

_log = logging.getLogger(__name__)


class Effect(StrEnum):
    """What a statement does where it applies."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What somebody wants to do: `s3:GetObject` on an ARN, or on `*` where there is none.

    `context` has what is known of the request by condition key; None for a key of which
    it is known that the request has none. `service` is who asks, of a trust policy.
    """

    action: str
    resource: str = "*"
    service: str | None = None
    context: Mapping[str, str | None] = field(default_factory=dict)


def allows(policies: Iterable[Document], access: Access) -> bool:
    """Whether policies together, as those of one role, allow it."""
    allowed = False
    for policy in policies:
        for statement in _listed(policy.get("Statement")):
            if not isinstance(statement, Mapping) or not _applies(statement, access):
                continue
            if statement.get("Effect") == Effect.DENY:
                return False
            allowed = allowed or statement.get("Effect") == Effect.ALLOW
    return allowed


def _applies(statement: Document, access: Access) -> bool:
    return (
        _chosen(statement, "Action", access.action, of=_action_matches)
        and _concerns(statement, access)
        and _are_met(statement, access)
    )


def _concerns(statement: Document, access: Access) -> bool:
    """The resource of an identity's policy; the principal of a trust policy, which has none."""
    if access.service is not None:
        return _is_trusted(statement.get("Principal"), access.service)

    def matches(pattern: str, resource: str) -> bool:
        return _like(_filled_in(pattern, access.context), resource)

    return _chosen(statement, "Resource", access.resource, of=matches)


def _chosen(
    statement: Document, element: str, value: str, *, of: Callable[[str, str], bool]
) -> bool:
    """Whether `Action` or its `NotAction`, `Resource` or its `NotResource`, take a value in."""
    if element in statement:
        return any(of(str(pattern), value) for pattern in _listed(statement[element]))
    excluded = f"Not{element}"
    if excluded not in statement:
        return False
    return not any(of(str(pattern), value) for pattern in _listed(statement[excluded]))


def _is_trusted(principal: object, service: str) -> bool:
    """Source: IAM User Guide, "Principal": `"*"` and `{"AWS": "*"}` are everybody."""
    if not isinstance(principal, Mapping):
        return principal == "*"
    return "*" in _listed(principal.get("AWS")) or service in _listed(principal.get("Service"))


def _action_matches(pattern: str, action: str) -> bool:
    """Names of actions know no case."""
    return _like(pattern.lower(), action.lower())


# --- Conditions --------------------------------------------------------------


def _same(pattern: str, value: str) -> bool:
    return pattern == value


def _same_in_any_case(pattern: str, value: str) -> bool:
    return pattern.lower() == value.lower()


def _like(pattern: str, value: str) -> bool:
    """`*` is any text, `?` one character."""
    return _wildcard(pattern).fullmatch(value) is not None


@lru_cache(maxsize=4096)
def _wildcard(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile(
        "".join(parts.get(letter, re.escape(letter)) for letter in pattern), re.DOTALL
    )


_OPERATORS: Final[dict[str, Callable[[str, str], bool]]] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _same_in_any_case,
    "StringLike": _like,
    "ArnEquals": _like,  # as ArnLike: both take wildcards
    "ArnLike": _like,
    "Bool": _same_in_any_case,
}
_NEGATED: Final = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _are_met(statement: Document, access: Access) -> bool:
    """Whether all conditions of a statement hold."""
    in_favor = statement.get("Effect") == Effect.ALLOW
    conditions = statement.get("Condition") or {}
    for operator, keys in conditions.items():
        for key, wanted in keys.items():
            values = [str(each) for each in _listed(wanted)]
            met = _is_met(operator, key, values, context=access.context)
            if met is None:
                _log.warning(
                    "cannot evaluate the condition %s of `%s`; taken as %s", operator, key,
                    "met" if in_favor else "not met",
                )  # fmt: skip
                met = in_favor
            if not met:
                return False
    return True


def _is_met(
    operator: str, key: str, values: list[str], *, context: Mapping[str, str | None]
) -> bool | None:
    """Whether one condition holds; None where that cannot be told."""
    name = operator.rpartition(":")[2]  # ForAllValues, ForAnyValue: the keys known have one value
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    known = {each.lower(): value for each, value in context.items()}
    family = f"{key.lower().partition('/')[0]}/*"
    if key.lower() not in known and family not in known:
        return None
    actual = known.get(key.lower())
    if name == "Null":
        return (actual is None) == (values == ["true"])
    negated = name in _NEGATED
    compare = _OPERATORS.get(_NEGATED.get(name, name))
    if compare is None:
        return None
    if actual is None:  # no value: only what must not be like something holds
        return optional or negated or operator.startswith("ForAllValues:")
    filled = (_filled_in(value, context) for value in values)
    return any(compare(value, actual) for value in filled) != negated


def _filled_in(pattern: str, context: Mapping[str, str | None]) -> str:
    """Policy variables such as `${aws:PrincipalAccount}` replaced; what is not known stays."""
    if "${" not in pattern:
        return pattern
    known = {key.lower(): value for key, value in context.items()}
    return re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found[1].lower()) or found[0], pattern)


def _listed(value: object) -> list[Any]:
    """IAM lets a list of one be written without its brackets."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
