"""AWS's lists of tags, `[{"Key": …, "Value": …}]`, as a mapping and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def read_tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The values by key; of a key that comes twice, the last."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def told_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The list, as an operation's output holds it."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
