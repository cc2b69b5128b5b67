"""The configs that an endpoint had before: what a rollback goes to (pure)."""

from __future__ import annotations

from typing import Final

from portside.deploy.current.current import Current
from portside.deploy.desired.name import is_addressed
from portside.deploy.desired.resources import Endpoint

KEPT_CONFIGS: Final = 3
"""Earlier configs that are left for a rollback, besides the one that is wanted."""


def earlier_configs(endpoint: Endpoint, current: Current) -> list[str]:
    """The configs of an endpoint but the wanted one: what runs first, then the newest."""
    now = current.endpoints.get(endpoint.name)
    names = [
        name
        for name in current.configs
        if is_addressed(name, endpoint.name) and name != endpoint.config_name
    ]
    return sorted(
        names,
        key=lambda name: (
            now is None or name != now.config_name,
            -current.configs[name].created_at,
            name,
        ),
    )
