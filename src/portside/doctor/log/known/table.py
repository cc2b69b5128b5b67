"""All of them, in the order in which they are looked for."""

from __future__ import annotations

from typing import Final

from portside.doctor.log.known.engine import ENGINE
from portside.doctor.log.known.machine import MACHINE
from portside.doctor.log.known.platform import PLATFORM
from portside.doctor.log.known.request import REQUEST
from portside.doctor.log.known.start import START

SYMPTOMS: Final = (*ENGINE, *START, *MACHINE, *REQUEST, *PLATFORM)

GENERAL: Final = frozenset(symptom.name for symptom in SYMPTOMS if symptom.is_general)
"""Names of those that say only that something is wrong."""
