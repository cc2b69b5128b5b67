"""Archives: hostile ones read safely, reproducible ones written.

Used by the model artifact, by `portside serve` and by the local SageMaker, so
that what one of them packs, all of them can open, and that a `model.tar.gz`
from anywhere can do no harm.

    pack:    members ─▶ sorted, no times or owners ─▶ gzip on all cores ─▶ .NAME.*.partial ─▶ NAME
             (`pack_once` does so where a file changed since)
    unpack:  bytes ─▶ gzip ─▶ headers checked one by one ─▶ .NAME.*.partial/ ─▶ digest ─▶ NAME

Both ends work beside the final name and rename as their last act: what stands
under the final name is whole, and what a killed run left is swept by the next.
"""

from portside.archive.error import ArchiveError
from portside.archive.extraction import Limits, unpack
from portside.archive.member import Member
from portside.archive.repeat import pack_once
from portside.archive.writer import Packed, digest, pack

__all__ = ["ArchiveError", "Limits", "Member", "Packed", "digest", "pack", "pack_once", "unpack"]
