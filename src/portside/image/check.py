"""What is looked at before an image leaves: architecture, size, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from portside.archive import Member
from portside.errors import BuildError
from portside.image.elf import HEADER_BYTES, machine_of, needed_by
from portside.image.layer import Layer, Part
from portside.image.platform import Platform

IMAGE_BYTES: Final = 10 * 1024**3
"""Largest image, unpacked. DG serverless-endpoints; real-time instances name the same number:
"Image size 13279248421 is greater than supported size 10737418240"
(aws/deep-learning-containers#3803).
"""

SYSTEM_LIBRARIES: Final = frozenset(
    {
        "libc.so.6",
        "libdl.so.2",
        "libgcc_s.so.1",
        "libm.so.6",
        "libpthread.so.0",
        "librt.so.1",
        "libstdc++.so.6",
        "libz.so.1",
    }
)
"""What wheels count on and do not bring (PEP 600's policies, without the desktop's libraries, which
many a wheel names and few processes load)."""

_SECRET: Final = re.compile(
    r"\.env(\..*)?|\.netrc|\.pypirc|\.npmrc|\.htpasswd|id_(rsa|dsa|ecdsa|ed25519)"
    r"|credentials(\.json)?|service[-_]?account.*\.json|client_secret.*\.json"
    r"|secrets?\.(json|toml|ya?ml)|.*\.(pem|key|p12|pfx|jks|kdbx|ppk)",
    re.IGNORECASE,
)
_PEM_BYTES: Final = 1024 * 1024
"""Of certificates, more than all that a browser trusts."""

_HARMLESS: Final = frozenset({".env.example", ".env.sample", ".env.template", "cacert.pem"})


def check_architecture(files: Iterable[Member], platform: Platform) -> None:
    """Raise `BuildError` for the first library or program that is for another processor."""
    for file in files:
        with file.source.open("rb") as stream:
            machine = machine_of(stream.read(HEADER_BYTES))
        if machine not in {None, platform.elf_machine}:
            raise BuildError(
                f"`{file.name}` is not for {platform}: its ELF machine is {machine} "
                f"and not {platform.elf_machine}",
                hint=f"take a build of it for {platform}, or build the image for another "
                "`--platform`",
            )


def system_libraries(files: Iterable[Member]) -> tuple[str, ...]:
    """Which of the base's libraries these files cannot be loaded without, by name."""
    return tuple(
        sorted({name for file in files for name in needed_by(file.source)} & SYSTEM_LIBRARIES)
    )


def check_libraries(layers: Iterable[Layer], *, base: str, there: Iterable[str]) -> None:
    """Raise `BuildError` for a library that a layer needs and the base does not have."""
    for layer in layers:
        if missing := sorted(set(layer.libraries).difference(there)):
            raise BuildError(
                f"the base `{base}` has no `{'`, no `'.join(missing)}`, without which what is in "
                f"the layer of {layer.kind} cannot be loaded",
                hint="add it to the base (Debian's package `libstdc++6` has `libstdc++.so.6`), or "
                "choose another `--base`",
            )


def check_secrets(code: Iterable[Member]) -> None:
    """Raise `BuildError` if a file looks as if it were nobody else's business."""
    for file in code:
        name = PurePosixPath(file.name).name
        is_harmless = name in _HARMLESS or _is_certificate(file.source)
        if _SECRET.fullmatch(name) and not is_harmless:
            raise BuildError(
                f"`{file.source}` looks like a secret, and all who can pull the image can read it",
                hint="move it out of the code's folder, and give it to the endpoint as "
                "`endpoint.environment` or through AWS Secrets Manager",
            )


def _is_certificate(file: Path) -> bool:
    """Whether a `.pem` has certificates and no key, as AWS' own for its databases."""
    if file.suffix.lower() != ".pem":
        return False
    try:
        with file.open("rb") as content:
            text = content.read(_PEM_BYTES + 1)
    except OSError:
        return False
    has_certificate = b"-----BEGIN CERTIFICATE-----" in text
    return has_certificate and b"PRIVATE KEY-----" not in text and len(text) <= _PEM_BYTES


def check_size(layers: Iterable[Layer]) -> None:
    """Raise `BuildError` for more than SageMaker starts, with what each layer costs."""
    found = list(layers)
    total = sum(layer.size_bytes for layer in found)
    if total > IMAGE_BYTES:
        costs = ", ".join(f"{layer.kind} {layer.size_bytes / 1e9:.1f} GB" for layer in found)
        raise BuildError(
            f"the image unpacks to {total / 1e9:.1f} GB, and SageMaker starts none of over "
            f"{IMAGE_BYTES / 1e9:.1f} GB: {costs}",
            hint="see with `portside build --explain` what takes the room",
        )


def cuda_warning(parts: Iterable[Part], site: Path) -> str | None:
    """That a GPU's libraries are in an image for a CPU, with what they cost."""
    found = [part for part in parts if part.name.startswith(("nvidia-", "cuda-", "triton"))]
    cost = sum(part.size_bytes for part in found)
    names = [part.name for part in found]
    for library in sorted(site.glob("torch/lib/libtorch_cuda*")):
        cost += library.stat().st_size
        names.append(f"torch's {library.name}")
    if not names:
        return None
    others = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"{', '.join(names[:3])}{others} are for GPUs and take {cost / 1e6:,.0f} MB of this image; "
        "for an endpoint without one write `torch==VERSION+cpu` in the requirements, below an "
        "`--extra-index-url` with torch's index of builds for CPUs (pytorch.org, Get Started, CPU)"
    )
