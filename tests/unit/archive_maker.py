"""Tar streams as somebody else writes them, hostile ones too."""

from __future__ import annotations

import io
import tarfile


def tar_bytes(
    *members: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member, io.BytesIO(bytes(max(member.size, 0))))
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def special(name: str, kind: bytes, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def pax(name: str, **headers: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.pax_headers = {key.replace("__", "."): value for key, value in headers.items()}
    return info


def global_header(**headers: str) -> bytes:
    return tarfile.TarInfo.create_pax_global_header(headers) + tar_bytes(("a", b"1"))


def header(*, name: bytes = b"a", size: bytes = b"00000000001", kind: bytes = b"0") -> bytes:
    """One header block with just these bytes in it, and a checksum that fits."""
    mode, owner, time = b"0000644\0", b"0000000\0", b"00000000000\0"
    before = name.ljust(100, b"\0") + mode + 2 * owner + size.ljust(12, b"\0") + time
    after = kind + bytes(100) + b"ustar\x0000" + bytes(247)
    checksum = sum(before + b" " * 8 + after)
    return before + b"%06o\0 " % checksum + after


def extended(content: bytes, *, kind: bytes = b"x") -> bytes:
    """An extended header that says `content`, whatever that may be."""
    block = header(name=b"././@PaxHeader", size=b"%011o" % len(content), kind=kind)
    return block + content + bytes(-len(content) % 512)
