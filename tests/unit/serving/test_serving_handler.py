"""Where the user's code is found, how it is called, and what is said when it cannot be."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING

import pytest

from portside.errors import PortsideError
from portside.serving.handler import load_handler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = """
def load_model(model_dir):
    return {"model_dir": model_dir}

def predict(data, pipe):
    return {"data": data, "type": type(data).__name__, **pipe}
"""


@pytest.fixture(autouse=True)
def untouched_imports() -> Iterator[None]:
    path, modules = sys.path[:], set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, code: str, name: str = "inference.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(code)
    return path


@pytest.mark.parametrize("folder", ["code", "."])
def test_the_users_functions_answer(tmp_path: Path, folder: str):
    write(tmp_path / folder, CODE)

    handler = load_handler(tmp_path)

    assert handler.predict({"strings": ["a", "b"]}) == {
        "data": ["a", "b"],
        "type": "list",
        "model_dir": str(tmp_path),
    }


@pytest.mark.parametrize("body", [[1, 2], {"inputs": "a"}, None, "text"])
def test_any_other_body_is_passed_as_it_is(tmp_path: Path, body: object):
    write(tmp_path, "def load_model(d): ...\ndef predict(data, model): return [data]")

    assert load_handler(tmp_path).predict(body) == [body]


def test_code_wins_over_the_root_and_over_the_checkpoint(model_dir: Path):
    write(model_dir, "raise RuntimeError('not this one')")
    write(model_dir / "code", CODE)

    assert load_handler(model_dir).predict([])


@pytest.mark.parametrize("program", ["entry.py", "entry"])
def test_the_program_can_have_another_name(tmp_path: Path, program: str):
    write(tmp_path / "code", CODE, name="entry.py")

    assert load_handler(tmp_path, program=program).predict([])


def test_a_program_that_is_named_has_to_be_there(model_dir: Path):
    with pytest.raises(PortsideError, match=r"cannot find `entry\.py`.*SAGEMAKER_PROGRAM"):
        load_handler(model_dir, program="entry.py")


def test_code_can_import_what_lies_beside_it(tmp_path: Path):
    write(tmp_path / "code", "ANSWER = 42", name="beside_it.py")
    write(tmp_path / "code", CODE + "\nimport beside_it\nload_model = lambda d: vars(beside_it)")

    assert load_handler(tmp_path).predict([])["ANSWER"] == 42  # type: ignore[index] - a dict


def test_pickles_that_name_the_module_can_be_loaded(tmp_path: Path):
    write(tmp_path, CODE + "\nclass Model: ...")
    load_handler(tmp_path)

    model = sys.modules["inference"].Model()

    assert type(pickle.loads(pickle.dumps(model))).__name__ == "Model"  # noqa: S301 - made here


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("", "`load_model` and `predict`"),
        ("def predict(data, model): ...", "`load_model`"),
        ("def load_model(model_dir): ...\npredict = 3", "`predict`"),
    ],
)
def test_missing_functions_are_named(tmp_path: Path, code: str, missing: str):
    path = write(tmp_path, code)

    with pytest.raises(PortsideError) as caught:
        load_handler(tmp_path)

    assert caught.value.message == f"`{path}` does not define {missing}"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no such layer')", "importing `{}` raised ValueError: no such layer"),
        ("import no_such_package", "importing `{}` raised ModuleNotFoundError: No module named"),
        ("def (", "importing `{}` raised SyntaxError"),
        ("import sys; sys.exit(3)", "importing `{}` raised SystemExit: 3"),
        (CODE + "\ndef load_model(d): raise KeyError", "`load_model` in `{}` raised KeyError"),
        (CODE + "\ndef load_model(): ...", "`load_model` in `{}` raised TypeError"),
    ],
)
def test_code_that_raises_is_told_with_its_cause(tmp_path: Path, code: str, message: str):
    path = write(tmp_path, code)

    with pytest.raises(PortsideError) as caught:
        load_handler(tmp_path)

    assert caught.value.message.startswith(message.format(path))
    assert caught.value.__cause__ is not None


def test_without_code_the_checkpoint_is_read(tmp_path: Path):
    with pytest.raises(PortsideError, match=r"it has no `config\.json`"):
        load_handler(tmp_path)
