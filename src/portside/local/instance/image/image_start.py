"""How a pushed image is started as a process: by what enters its root."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from portside.local.instance import straggler
from portside.local.instance.alone import alone
from portside.local.instance.image import root_entry
from portside.local.instance.image.process_plan import Folders, plan
from portside.local.instance.start import SYSTEM_PATH, Start

if TYPE_CHECKING:
    from pathlib import Path

    from portside.image.oci import Config
    from portside.local.instance.instance import InstanceSpec
    from portside.local.instance.start import Place


def image_start(spec: InstanceSpec, config: Config, *, root: Path, place: Place) -> Start:
    """What becomes the image's program; raises `BuildError` where the image knows no such user.

    Its environment is in a file for the owner's eyes only: it is the program's, and not that of
    the Python that enters the root.
    """
    (place.folder / "root").mkdir()
    (place.folder / "written").mkdir()
    place.temp.chmod(0o1777)
    planned = plan(
        spec,
        config,
        folders=Folders(root=root, instance=place.folder, temp=place.temp),
        port=place.port,
        mark=straggler.mark(place.folder),
    )
    file = place.folder / "plan.json"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(asdict(planned), out)
    return Start(
        command=alone(root_entry.__name__, str(file), str(os.getpid())),
        environment={"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"},
    )
