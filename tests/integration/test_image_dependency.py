"""Dependencies by a real `uv`, from a folder of wheels made here: no package index is asked."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from portside.errors import BuildError
from portside.image.content import dependencies_layer
from portside.image.dependency import Wanted, find_uv
from portside.image.layer import Layer
from portside.image.layout import Layout
from portside.image.platform import Platform

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n"


def wheel(folder: Path, name: str, tag: str = "py3-none-any") -> Path:
    file = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(f"{name}/__init__.py", f"name = '{name}'\n")
        packed.writestr(f"{info}/METADATA", METADATA.format(name=name))
        packed.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        packed.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        packed.writestr(f"{info}/RECORD", "")
    return file


def source(folder: Path, name: str) -> None:
    project = folder / "pyproject.toml"
    project.write_text(f'[project]\nname = "{name}"\nversion = "1.0"\n')
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as packed:
        packed.add(project, f"{name}-1.0/pyproject.toml")
    project.unlink()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "plain")
    wheel(folder, "quick", "cp311-cp311-manylinux_2_28_x86_64")
    source(folder, "slow")
    return folder


def install(tmp_path: Path, wheels: Path, lines: str, **changed: object) -> Layer:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--no-index\n--find-links {wheels}\n{lines}\n")
    wanted = Wanted(requirements=requirements, serving=(), platform=Platform.AMD64, python="3.11")
    return dependencies_layer(
        replace(wanted, **changed),  # type: ignore[arg-type]  # the tests' own fields
        installer=find_uv(),
        layout=Layout(tmp_path / "layout"),
        say=lambda _: None,
    )


def names(layer: Layer, tmp_path: Path) -> list[str]:
    path = Layout(tmp_path / "layout").path(layer.blob.digest)
    with tarfile.open(path) as tar:
        return tar.getnames()


def test_wheels_are_unpacked_without_scripts(tmp_path: Path, wheels: Path) -> None:
    layer = install(tmp_path, wheels, "plain\nquick")

    assert [(part.name, part.version, part.license) for part in layer.parts] == [
        ("plain", "1.0", "MIT"),
        ("quick", "1.0", "MIT"),
    ]
    found = names(layer, tmp_path)
    assert "opt/portside/lib/python3.11/site-packages/plain/__init__.py" in found
    assert not any("/bin/" in name or name.endswith(".lock") for name in found)


def test_where_a_wheel_lay_stays_out(tmp_path: Path, wheels: Path) -> None:
    (tmp_path / "other").mkdir()

    by_path = install(tmp_path, wheels, f"plain @ file://{wheels}/plain-1.0-py3-none-any.whl")
    by_name = install(tmp_path / "other", wheels, "plain")

    assert by_path.blob == by_name.blob


def test_another_layout_gets_the_same_digest(tmp_path: Path, wheels: Path) -> None:
    (tmp_path / "other").mkdir()

    here = install(tmp_path, wheels, "plain\nquick")
    there = install(tmp_path / "other", wheels, "plain\nquick")

    assert here == there


@pytest.mark.parametrize(
    ("changed", "name"),
    [({"platform": Platform.ARM64}, "quick"), ({"python": "3.12"}, "quick"), ({}, "slow")],
)
def test_a_missing_wheel_is_named(
    tmp_path: Path, wheels: Path, changed: dict[str, object], name: str
) -> None:
    with pytest.raises(BuildError, match=f"there is no wheel of `{name}") as raised:
        install(tmp_path, wheels, f"plain\n{name}", **changed)

    assert raised.value.hint
    assert name in raised.value.hint
    assert [path.name for path in (tmp_path / "layout").glob(".*.partial")] == []


def test_a_hash_that_does_not_match_is_named(tmp_path: Path, wheels: Path) -> None:
    with pytest.raises(BuildError, match=r"`plain==1\.0` is not the file"):
        install(tmp_path, wheels, f"plain==1.0 --hash=sha256:{'0' * 64}")


def test_what_cannot_be_found_is_named(tmp_path: Path, wheels: Path) -> None:
    with pytest.raises(BuildError, match="nobody-has-this"):
        install(tmp_path, wheels, "nobody-has-this")


def test_a_projects_dependencies_and_its_lock(tmp_path: Path, wheels: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["plain"]\n'
        f'[tool.uv]\nno-index = true\nfind-links = ["{wheels}"]\n'
    )
    uv = find_uv()
    subprocess.run([uv.program, "lock", "--project", project], check=True, capture_output=True)

    for file in ("pyproject.toml", "uv.lock"):
        layer = install(tmp_path, wheels, "", requirements=project / file)

        assert [part.name for part in layer.parts] == ["plain"]
