"""Whose code answers, and what is said when none can."""

from __future__ import annotations

import logging
import pickle
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from portside.errors import PortsideError
from portside.serving.handlers.find import load_handler
from portside.serving.handlers.torch_file import find_torch_script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Load = Callable[..., Any]
    Write = Callable[..., Path]

CODE = """
def load_model(model_dir):
    return {"model_dir": model_dir}

def predict(data, pipe):
    return {"data": data, **pipe}
"""


@pytest.mark.parametrize("folder", ["code", "."])
def test_the_users_file_is_found(tmp_path: Path, write: Callable[..., Path], folder: str):
    write(CODE, f"{folder}/inference.py")

    assert type(load_handler(tmp_path)).__name__ == "FunctionHandler"


def test_code_wins_over_the_root_and_over_the_weights(load: Load, write: Write):
    write(CODE, "code/inference.py")
    with zipfile.ZipFile(write("", "model.pt"), "w") as archive:
        archive.writestr("model/constants.pkl", b"")

    caller = load("raise RuntimeError('not this one')")

    assert caller.ask("1").json["data"] == 1


@pytest.mark.parametrize("program", ["entry.py", "entry"])
def test_the_program_can_have_another_name(load: Load, write: Write, program: str):
    write(CODE, "code/entry.py")

    assert load("raise RuntimeError('not this one')", program=program).ask("1").json["data"] == 1


def test_a_program_that_is_named_has_to_be_there(tmp_path: Path):
    with pytest.raises(PortsideError, match=r"cannot find `entry\.py`.*SAGEMAKER_PROGRAM"):
        load_handler(tmp_path, program="entry.py")


def test_code_can_import_what_lies_beside_it(load: Load, write: Write):
    write("ANSWER = 42", "beside_it.py")

    caller = load("import beside_it\ndef predict(data): return beside_it.ANSWER")

    assert caller.ask("1").json == 42


def test_pickles_that_name_the_module_can_be_loaded(load: Load):
    load(CODE + "\nclass Model: ...")

    model = sys.modules["inference"].Model()

    assert type(pickle.loads(pickle.dumps(model))).__name__ == "Model"  # noqa: S301 - made here


def test_requirements_are_not_installed_but_told(
    load: Load, write: Write, caplog: pytest.LogCaptureFixture
):
    write("torch", "requirements.txt")

    with caplog.at_level(logging.INFO):
        load(CODE)

    assert "belong in the image" in caplog.text


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("", "`{}` defines no handler", "define `load_model(model_dir)`"),
        ("app = object().__init__", "`{}` defines no handler", "to `inference:app`"),
        ("def load_model(d): ...", "`{}` does not define `predict`", "define `predict(data"),
        ("predict = 3", "`{}` defines no handler", "define"),
    ],
)
def test_missing_functions_are_named(
    tmp_path: Path, write: Write, code: str, message: str, hint: str
):
    path = write(code)

    with pytest.raises(PortsideError) as caught:
        load_handler(tmp_path)

    assert caught.value.message == message.format(path)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no such layer')", "importing `{}` raised ValueError: no such layer"),
        ("import no_such_package", "importing `{}` raised ModuleNotFoundError: No module named"),
        ("def (", "importing `{}` raised SyntaxError"),
        ("import sys; sys.exit(3)", "importing `{}` raised SystemExit: 3"),
        (CODE + "\ndef load_model(d): raise KeyError", "`load_model` in `{}` raised KeyError"),
        (CODE + "\ndef load_model(): ...", "`load_model` in `{}` raised TypeError"),
        ("def model_fn(d): raise KeyError", "`model_fn` in `{}` raised"),
        (CODE + "\ndef pre_model_fn(d): 1 / 0", "`pre_model_fn` in `{}` raised ZeroDivision"),
        (CODE + "\ndef model_warmup_fn(d, m): 1 / 0", "`model_warmup_fn` in `{}` raised ZeroD"),
    ],
)
def test_code_that_raises_is_told_with_its_cause(
    tmp_path: Path, write: Write, code: str, message: str
):
    path = write(code)

    with pytest.raises(PortsideError) as caught:
        load_handler(tmp_path)

    assert caught.value.message.startswith(message.format(path))
    assert caught.value.__cause__ is not None


def test_hooks_run_before_and_after_the_model(load: Load):
    caller = load("""
calls = []
def pre_model_fn(model_dir): calls.append("pre")
def load_model(model_dir): calls.append("load"); return calls
def model_warmup_fn(model_dir, model): model.append("warm")
def predict(data, model): return model
""")

    assert caller.ask("1").json == ["pre", "load", "warm"]


def test_without_code_the_checkpoint_is_read(tmp_path: Path):
    with pytest.raises(PortsideError, match=r"it has no `config\.json`"):
        load_handler(tmp_path)


# --- TorchScript, told without torch --------------------------------------------


def make_archive(path: Path, member: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/{member}", b"")
    return path


def test_weights_are_not_taken_for_torch_script(tmp_path: Path):
    make_archive(tmp_path / "optimizer.pt", "data.pkl")
    (tmp_path / "rng_state.pth").write_bytes(b"old pickle")
    script = make_archive(tmp_path / "net.pth", "constants.pkl")

    assert find_torch_script(tmp_path) == script


def test_of_several_the_one_called_model_is_served(tmp_path: Path):
    make_archive(tmp_path / "a.pt", "constants.pkl")
    script = make_archive(tmp_path / "model.pt", "constants.pkl")

    assert find_torch_script(tmp_path) == script


def test_several_are_too_many(tmp_path: Path):
    for name in ("a.pt", "b.pt"):
        make_archive(tmp_path / name, "constants.pkl")

    with pytest.raises(PortsideError, match=r"2 TorchScript files, `a\.pt`, `b\.pt`"):
        find_torch_script(tmp_path)


def test_no_folder_holds_none(tmp_path: Path):
    assert find_torch_script(tmp_path / "missing") is None
