from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.local.instance.memory_cgroup import MemoryCgroups

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("line", ["4:cpu,memory:/mine", "0::/mine", "0::/"])
def test_an_ordinary_folder_is_not_taken_for_one_of_the_kernel_s(tmp_path: Path, line: str) -> None:
    own = tmp_path / "own"
    own.write_text(f"9:pids:/\n{line}\n")
    root = tmp_path / "cgroup"
    (root / "mine").mkdir(parents=True)
    (root / "memory" / "mine").mkdir(parents=True)

    assert MemoryCgroups.find(root=root, own=own) is None

    assert sorted(path.name for path in root.rglob("*")) == ["memory", "mine", "mine"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cgroup", "own"]


def test_a_system_without_control_groups_has_none(tmp_path: Path) -> None:
    assert MemoryCgroups.find(root=tmp_path, own=tmp_path / "none") is None
