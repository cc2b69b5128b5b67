from __future__ import annotations

from pathlib import Path

from portside.local.instance.removal import remove


def test_folders_that_were_closed_are_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    """As root nothing is closed; whoever else runs this sees what an instance can leave."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    closed = tmp_path / "instance" / "work"
    (closed / "inner").mkdir(parents=True)
    (closed / "link").symlink_to(outside)
    (closed / "inner").chmod(0)
    closed.chmod(0o500)

    remove(tmp_path / "instance")

    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert outside.stat().st_mode & 0o777 == 0o500
    outside.chmod(0o700)
