"""Which changes of a journal need not be played back any more.

    CreateRole a ─▶ PutRolePolicy a ─▶ PutRolePolicy a ─▶ DeleteRole a      all are dropped
    CreateRole b ─▶ PutRolePolicy b ─▶ PutRolePolicy b                      the middle one is

What is put up and taken down again and again would make the journal longer each time, and
each entry costs its part of a start. So at a start two sorts are dropped: all that was said
of a thing until it was deleted, with the deletion; and what a later entry replaces whole.
All others stay, because what comes later may depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portside.local.delegated.journal import Entry

_DELETIONS: Final = frozenset(
    {
        "DeleteRole",
        "DeleteTopic",
        "DeleteAlarms",
        "DeleteScalingPolicy",
        "DeregisterScalableTarget",
    }
)

_REPLACING: Final[Mapping[str, tuple[str, ...]]] = {
    "PutRolePolicy": ("RoleName", "PolicyName"),
    "UpdateAssumeRolePolicy": ("RoleName",),
    "SetAlarmState": ("AlarmName",),
    "PutScalingPolicy": ("ResourceId", "ScalableDimension", "PolicyName"),
}
"""Operations of which the last one counts, by the parameters that say for what."""


def superfluous(entries: Mapping[int, Entry]) -> set[int]:
    """The numbers of those entries of one service that can be dropped; given oldest first."""
    dropped: set[int] = set()
    gone: set[str] = set()
    replaced: set[tuple[str, ...]] = set()
    for number, entry in reversed(list(entries.items())):
        things = _things(entry)
        if things and entry.action in _DELETIONS:
            gone |= things
        if things and things <= gone:
            dropped.add(number)
        if names := _REPLACING.get(entry.action):
            replacing = (entry.action, *(str(entry.params.get(name)) for name in names))
            if replacing in replaced:
                dropped.add(number)
            replaced.add(replacing)
    return dropped


def _things(entry: Entry) -> set[str]:
    """The names of what an entry is about, of the kinds that can be deleted."""
    params = entry.params
    match entry.service:
        case "iam":
            return {params["RoleName"]} if "RoleName" in params else set()
        case "sns":
            # arn:aws:sns:REGION:ACCOUNT:TOPIC, and after it the id of a subscription
            arns = (params.get(name) for name in ("TopicArn", "SubscriptionArn", "ResourceArn"))
            topics = {arn.split(":")[5] for arn in arns if arn and arn.count(":") > 4}
            return topics | ({params["Name"]} if entry.action == "CreateTopic" else set())
        case "cloudwatch":
            return _alarms(params)
        case _:
            names = ("ResourceId", "ScalableDimension", "PolicyName")
            return {" ".join(str(params[name]) for name in names if name in params)}


def _alarms(params: Mapping[str, object]) -> set[str]:
    """The alarms, one or several, in the form of JSON or of the query protocol."""
    several = params.get("AlarmNames")
    names = several if isinstance(several, list) else []
    flat = [value for name, value in params.items() if name.startswith("AlarmNames.member.")]
    one = [params["AlarmName"]] if "AlarmName" in params else []
    return {str(name) for name in [*names, *flat, *one]}
