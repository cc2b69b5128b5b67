"""Instance types: which names there are, and which are surely slips of the pen.

    in the table ─▶ fine
    a series of it in another generation, of a usual size ─▶ taken as new
    anything else ─▶ refused with the nearest name, unless the config insists

AWS has new types before this table has them, so nobody has to wait for it.
"""

from __future__ import annotations

import difflib
import re
from typing import Final

from portside.errors import ConfigError

_TYPES: Final = {
    "t2": "medium large xlarge 2xlarge",
    "m4": "xlarge 2xlarge 4xlarge 10xlarge 16xlarge",
    "c4": "large xlarge 2xlarge 4xlarge 8xlarge",
    **dict.fromkeys(("m5", "m5d", "r5", "r5d"), "large xlarge 2xlarge 4xlarge 12xlarge 24xlarge"),
    **dict.fromkeys(("c5", "c5d"), "large xlarge 2xlarge 4xlarge 9xlarge 18xlarge"),
    **dict.fromkeys(
        ("c6i", "c6in", "m6i", "r6i"),
        "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge",
    ),
    **dict.fromkeys(
        ("c7i", "m7i", "r7i"),
        "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    ),
    **dict.fromkeys(
        ("c6g", "c6gd", "c6gn", "c7g", "m6g", "m6gd", "r6g", "r6gd"),
        "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    ),
    "r7gd": "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    **dict.fromkeys(
        ("c8g", "m8g", "r8g"),
        "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    ),
    "g4dn": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    **dict.fromkeys(
        ("g5", "g6", "g6e"), "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    ),
    **dict.fromkeys(("g7", "g7e"), "2xlarge 4xlarge 8xlarge 12xlarge 24xlarge 48xlarge"),
    "p2": "xlarge 8xlarge 16xlarge",
    "p3": "2xlarge 8xlarge 16xlarge",
    **dict.fromkeys(("p4d", "p4de"), "24xlarge"),
    "p5": "4xlarge 48xlarge",
    **dict.fromkeys(("p5e", "p5en", "p6-b200", "p6-b300", "trn2"), "48xlarge"),
    "p6e-gb200": "36xlarge",
    "dl1": "24xlarge",
    "inf1": "xlarge 2xlarge 6xlarge 24xlarge",
    "inf2": "xlarge 8xlarge 24xlarge 48xlarge",
    "trn1": "2xlarge 32xlarge",
    "trn1n": "32xlarge",
}
"""The sizes of each family. Source: botocore 1.43, ProductionVariantInstanceType."""

_KNOWN: Final = frozenset(
    f"ml.{family}.{size}" for family, sizes in _TYPES.items() for size in sizes.split()
)
_SIZES: Final = frozenset(size for sizes in _TYPES.values() for size in sizes.split())
_SERIES: Final = frozenset(re.match(r"[a-z]+", family)[0] for family in _TYPES)  # type: ignore[index]  # each begins with letters
_NEW: Final = re.compile(r"ml\.(?P<series>[a-z]+)[1-9][a-z]*(-[a-z]+[0-9]+)?\.(?P<size>[a-z0-9]+)")
"""Letters, one digit of generation, letters of what is special: as all families are called."""


def check_instance_type(name: str, path: str, *, insists: bool = False) -> None:
    """Raise `ConfigError` for a name that SageMaker surely does not know.

    `insists` takes any that looks like one: AWS has new ones before this table has.
    """
    if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", name):
        raise ConfigError(
            f"`{name}` is not the name of an instance type",
            path=path,
            hint="choose one such as `ml.m5.large`, `ml.c7i.xlarge` or `ml.g5.xlarge`",
        )
    if insists or name in _KNOWN or _is_plausible(name):
        return
    family = f"{name.rpartition('.')[0]}."
    others = sorted(one for one in _KNOWN if one.startswith(family)) or sorted(_KNOWN)
    near = difflib.get_close_matches(name, others, n=2, cutoff=0.7)
    choose = " or ".join(f"`{one}`" for one in near) or "one such as `ml.m5.large`"
    raise ConfigError(
        f"there is no instance type `{name}`",
        path=path,
        hint=f"choose {choose}; if AWS has it all the same, set "
        "`allow_unknown_instance_type = true` in the endpoint's table",
    )


def _is_plausible(name: str) -> bool:
    found = _NEW.fullmatch(name)
    family = name.split(".")[1]
    return (
        found is not None
        and family not in _TYPES
        and found["series"] in _SERIES
        and found["size"] in _SIZES
    )
