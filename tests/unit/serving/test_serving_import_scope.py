"""Modules of the same name in one process."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from portside.serving.handlers.program import import_program
from portside.serving.import_scope import import_scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_model(folder: Path) -> Path:
    """A model whose file imports a module, a package and a folder that lie beside it."""
    code = folder / "code"
    (code / "parts").mkdir(parents=True)
    (code / "bare").mkdir()
    (code / "beside.py").write_text(f"NAME = {folder.name!r}\n")
    (code / "parts" / "__init__.py").write_text("from parts.inner import NAME\n")
    (code / "parts" / "inner.py").write_text(f"NAME = {folder.name!r}\n")
    (code / "bare" / "leaf.py").write_text(f"NAME = {folder.name!r}\n")
    (code / "inference.py").write_text(
        "import beside, parts, bare.leaf\n"
        "def predict(data, model): return [beside.NAME, parts.NAME, bare.leaf.NAME]\n"
    )
    return folder


def load(folder: Path) -> Callable[..., object]:
    with import_scope(folder):
        predict = import_program(folder / "code" / "inference.py").plain("predict")
    assert predict is not None
    return predict


def test_each_model_has_its_own_modules(tmp_path: Path):
    first = load(write_model(tmp_path / "first"))
    second = load(write_model(tmp_path / "second"))
    assert first(None, None) == ["first"] * 3
    assert second(None, None) == ["second"] * 3


def test_nothing_stays_behind(tmp_path: Path):
    modules, path = set(sys.modules), list(sys.path)
    load(write_model(tmp_path / "first"))
    assert not {"inference", "beside", "parts", "parts.inner", "bare"} & set(sys.modules)
    assert modules <= set(sys.modules)
    assert sys.path == path
    assert not [entry for entry in sys.path_importer_cache if str(tmp_path) in entry]


def test_nothing_stays_behind_a_file_that_fails(tmp_path: Path):
    folder = write_model(tmp_path / "first")
    (folder / "code" / "inference.py").write_text("import beside\nraise ValueError\n")
    path = list(sys.path)
    with pytest.raises(Exception, match="ValueError"):
        load(folder)
    assert "beside" not in sys.modules
    assert sys.path == path


def test_a_model_that_was_replaced_is_read_anew(tmp_path: Path):
    folder = write_model(tmp_path / "first")
    load(folder)
    (folder / "code" / "beside.py").write_text("NAME = 'another'\n")
    assert load(folder)(None, None) == ["another", "first", "first"]


def test_what_a_model_imports_from_elsewhere_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "shared_by_all.py").write_text("")
    (tmp_path / "first-too").mkdir()  # begins like the model's folder, and is another
    (tmp_path / "first-too" / "looks_alike.py").write_text("")
    monkeypatch.setattr(
        sys, "path", [*sys.path, str(tmp_path / "elsewhere"), str(tmp_path / "first-too")]
    )
    names = ("shared_by_all", "looks_alike")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # put back afterwards
        del sys.modules[name]
    with import_scope(write_model(tmp_path / "first")):
        for name in names:
            importlib.import_module(name)
    assert set(names) <= set(sys.modules)


def test_links_to_the_folder_are_seen_through(tmp_path: Path):
    folder = write_model(tmp_path / "first")
    link = tmp_path / "link"
    link.symlink_to(folder)
    with import_scope(link):
        import_program(folder / "code" / "inference.py")
    assert "inference" not in sys.modules
    load(link)
    assert "inference" not in sys.modules


def test_strange_modules_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    strange = ModuleType("strange")
    strange.__path__ = 5  # type: ignore[assignment]  # what an import hook may leave there
    strange.__file__ = None
    monkeypatch.setitem(sys.modules, "strange", strange)
    with import_scope(tmp_path):
        pass
    assert sys.modules["strange"] is strange
