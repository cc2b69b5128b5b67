"""The object store's command line, and what is removed after it."""

from __future__ import annotations

import os
import re
import socket
import stat
from pathlib import Path

from portside.local.s3 import seaweedfs


def test_it_is_bound_to_this_machine_on_ports_of_our_choice() -> None:
    ports = list(range(50000, 50010))

    options = seaweedfs.command_line("weed", Path("data"), ports=ports)

    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port=50000"} <= set(options)
    assert [
        int(found[1]) for option in options if (found := re.search(r"=(500..)$", option))
    ] == ports


def test_what_shuts_it_is_for_its_owner_only_and_new_at_each_start(tmp_path: Path) -> None:
    seaweedfs.shut(tmp_path)
    settings = tmp_path / ".seaweedfs"
    first = {file.name: file.read_bytes() for file in settings.iterdir()}

    seaweedfs.shut(tmp_path)

    assert set(first) == {"certificate.pem", "key.pem", "security.toml"}
    for name, content in first.items():
        assert (settings / name).read_bytes() != content
    for secret in ("key.pem", "security.toml"):
        assert stat.S_IMODE((settings / secret).stat().st_mode) == 0o600


def test_free_ports_are_free_and_different() -> None:
    ports = seaweedfs.free_ports()

    assert len(set(ports)) == len(ports)
    assert ports[-1] == ports[-2] + 10_000  # where its own worker looks
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_sweep_removes_what_is_kept_per_port_and_nothing_else(tmp_path: Path) -> None:
    port = 100_000 + os.getpid()  # no port, so nobody's socket
    ours, other = Path(f"/tmp/seaweedfs-s3-{port}.sock"), Path(f"/tmp/seaweedfs-s3-{port}0.sock")
    seaweedfs.keep_ports(tmp_path, [port])
    (tmp_path / f"m{port}").mkdir()
    for file in (ours, other, tmp_path / "mini.options", tmp_path / "1.dat"):
        file.touch()

    try:
        seaweedfs.sweep(tmp_path)

        assert not ours.exists()
        assert other.exists()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["1.dat", "ports"]
    finally:
        other.unlink()
