"""The functions of AWS's toolkits: arity, bodies, content types, defaults, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from portside.errors import PortsideError
from portside.serving.error import (
    InvalidBodyError,
    NotAcceptableError,
    RequestError,
    UnsupportedMediaTypeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Load = Callable[..., Any]

WHOLE = """
import json
def model_fn(model_dir): return {"factor": 2}
def input_fn(data, content_type):
    return json.loads(data)["value"], type(data).__name__, content_type
def predict_fn(data, model): return [data[0] * model["factor"], *data[1:]]
def output_fn(prediction, accept): return json.dumps([*prediction, accept])
"""


def test_the_four_functions_in_their_order(load: Load):
    reply = load(WHOLE).ask('{"value": 21}', content_type="application/json")

    assert reply.json == [42, "str", "application/json", "application/json"]
    assert reply.content_type == "application/json"


def test_the_toolkits_functions_win_over_predict(load: Load):
    caller = load(WHOLE + "\ndef load_model(): 1 / 0\ndef predict(text): 1 / 0")

    assert caller.ask('{"value": 1}').json[0] == 2


# --- Arity, both toolkits' rules -----------------------------------------------------

STAGES = {
    "model_fn": "model_dir",
    "input_fn": "data, content_type",
    "predict_fn": "data, model",
    "output_fn": "prediction, accept",
    "transform_fn": "model, data, content_type, accept",
}


@pytest.mark.parametrize(
    ("more", "is_given"),
    [
        ("", False),
        (", context", True),
        (", context=None", True),
        (", file_name=None", True),
        (", *, option=None", False),
        (", one=None, two=None", False),
    ],
)
@pytest.mark.parametrize("name", STAGES)
def test_a_function_with_one_parameter_more_gets_the_context(
    load: Load, name: str, more: str, is_given: bool
):
    others = {
        "model_fn": "def model_fn(model_dir): pass",
        "predict_fn": "def predict_fn(data, model): pass",
    }
    if name == "transform_fn":
        del others["predict_fn"]
    others[name] = f"def {name}({STAGES[name]}{more}): note(locals()); return '1'"
    caller = load(
        "seen = []\n"
        "def note(found): seen.append([type(value).__name__ for value in found.values()])\n"
        + "\n".join(others.values())
    )
    caller.ask("1", content_type="application/json")

    import sys

    [types] = sys.modules["inference"].seen
    assert ("ToolkitContext" in types) is is_given


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("signature", ["", "a, b, c, d, e, f, g"])
def test_any_other_arity_is_an_error_at_load(load: Load, name: str, signature: str):
    with pytest.raises(PortsideError, match=rf"`{name}` in .* takes"):
        load(f"def {name}({signature}): ...")


@pytest.mark.parametrize("other", ["input_fn", "predict_fn", "output_fn"])
def test_transform_fn_replaces_the_others(load: Load, other: str):
    code = f"def transform_fn(m, d, c, a): ...\ndef {other}(a, b): ..."

    with pytest.raises(PortsideError, match=f"defines `transform_fn` and `{other}`"):
        load(code)


# --- Bodies and content types ----------------------------------------------------------

TRANSFORM = """
def model_fn(model_dir): return None
def transform_fn(model, data, content_type, accept):
    return repr((data, content_type)), accept
"""


@pytest.mark.parametrize(
    ("content_type", "data", "seen"),
    [
        ("application/json", "é", "application/json"),
        ("application/json; charset=utf-8", "é", "application/json"),
        ("text/csv", "é", "text/csv"),
        ("Text/CSV;header=present", "é", "text/csv"),
        ("application/x-npy", "é".encode(), "application/x-npy"),
        ("text/plain", "é".encode(), "text/plain"),
        ("multipart/form-data; boundary=x", "é".encode(), "multipart/form-data; boundary=x"),
        (None, "é".encode(), None),
    ],
)
def test_json_and_csv_come_as_text(
    load: Load, content_type: str | None, data: object, seen: str | None
):
    reply = load(TRANSFORM).ask("é", content_type=content_type)

    assert reply.body.decode() == repr((data, seen))


def test_text_is_read_in_its_charset(load: Load):
    reply = load(TRANSFORM).ask("é".encode("latin-1"), content_type="text/csv; charset=latin-1")

    assert reply.body.decode() == repr(("é", "text/csv"))


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"\xff", "application/json", InvalidBodyError),
        (b"a", "text/csv; charset=klingon", UnsupportedMediaTypeError),
    ],
)
def test_text_that_cannot_be_read_is_the_callers_fault(
    load: Load, body: bytes, content_type: str | None, error: type[RequestError]
):
    with pytest.raises(error):
        load(TRANSFORM).ask(body, content_type=content_type)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/csv;q=0.5, text/x-mine", "text/x-mine"),
        ("*/*, text/csv;q=0.5", "application/json"),
        ("text/*", "application/json"),
    ],
)
def test_accept_is_the_one_type_that_is_wanted(load: Load, accept: str | None, chosen: str):
    assert load(TRANSFORM).ask("1", accept=accept).content_type == chosen


def test_the_default_accept_can_be_set(load: Load):
    assert load(TRANSFORM, default_accept="text/csv").ask("1").content_type == "text/csv"


@pytest.mark.parametrize(
    ("result", "body", "content_type"),
    [
        ("'text'", b"text", "text/csv"),
        ("b'raw'", b"raw", "text/csv"),
        ("('text', 'text/html')", b"text", "text/html"),
        ("({'a': 1}, 'application/json')", b'{"a":1}', "application/json"),
        ("[[1, 2]]", b"1,2\n", "text/csv"),
    ],
)
def test_what_transform_fn_returns_is_the_body(
    load: Load, result: str, body: bytes, content_type: str
):
    caller = load(f"def model_fn(d): ...\ndef transform_fn(m, d, c, a): return {result}")
    reply = caller.ask("1", accept="text/csv")

    assert (reply.body.replace(b"\r\n", b"\n"), reply.content_type) == (body, content_type)


def test_a_generator_is_streamed(load: Load):
    caller = load("def model_fn(d): ...\ndef transform_fn(m, d, c, a):\n  yield 'a'\n  yield 'b'")

    assert caller.ask("1").chunks == [b"a", b"b"]


# --- Defaults ----------------------------------------------------------------------------

SHOW = """
import numpy
def model_fn(model_dir): return None
def predict_fn(data, model):
    if isinstance(data, numpy.ndarray):
        return [str(data.dtype), list(data.shape), data.tolist()]
    return data
"""


@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        ("[[1, 2], [3, 4]]", "application/json", ["int64", [2, 2], [[1, 2], [3, 4]]]),
        ("[1.5, 2]", None, ["float64", [2], [1.5, 2.0]]),
        ('{"inputs": [1]}', "application/json", {"inputs": [1]}),
        ('["a", "b"]', "application/json", ["a", "b"]),
        ("[[1], [2, 3]]", "application/json", [[1], [2, 3]]),
        ("1,2\n3,4\n", "text/csv", ["int64", [2, 2], [[1, 2], [3, 4]]]),
        ("1.5,2\n", "text/csv; charset=utf-8", ["float64", [2], [1.5, 2.0]]),
        ("1\n2\n", "text/csv", ["int64", [2], [1, 2]]),
        ("a,1\n", "text/csv", [["a", 1]]),
    ],
)
def test_without_input_fn_numbers_are_arrays(
    load: Load, body: str, content_type: str | None, data: object
):
    assert load(SHOW).ask(body, content_type=content_type).json == data


def test_without_input_fn_npy_is_an_array(load: Load):
    import io

    file = io.BytesIO()
    np.save(file, np.array([[1.0]], dtype=np.float32))

    reply = load(SHOW).ask(file.getvalue(), content_type="application/x-npy")

    assert reply.json == ["float32", [1, 1], [[1.0]]]


def test_pickles_are_never_read(load: Load):
    import io

    file = io.BytesIO()
    np.save(file, np.array([object]), allow_pickle=True)

    with pytest.raises(InvalidBodyError):
        load(SHOW).ask(file.getvalue(), content_type="application/x-npy")


@pytest.mark.parametrize(
    ("accept", "body", "content_type"),
    [
        (None, b"[[1.5,2.0]]", "application/json"),
        ("text/csv", b"1.5,2.0\n", "text/csv"),
        ("text/csv;q=0.1, application/json;q=0.9", b"[[1.5,2.0]]", "application/json"),
    ],
)
def test_without_output_fn_a_codec_writes(
    load: Load, accept: str | None, body: bytes, content_type: str
):
    code = (
        "import numpy\ndef model_fn(d): ...\ndef predict_fn(d, m): return numpy.array([[1.5, 2]])"
    )
    reply = load(code).ask("1", accept=accept)

    assert (reply.body.replace(b"\r\n", b"\n"), reply.content_type) == (body, content_type)


def test_without_output_fn_a_text_is_json(load: Load):
    code = "def model_fn(d): ...\ndef predict_fn(d, m): return 'text'"

    assert load(code).ask("1").body == b'"text"'


PIPELINE = "lambda inputs, **parameters: [inputs, parameters]"


@pytest.mark.parametrize(
    ("model", "body", "answer"),
    [
        (PIPELINE, '{"inputs": "a"}', ["a", {}]),
        (
            PIPELINE,
            '{"inputs": "a", "parameters": {"k": 1}}',
            ["a", {"k": 1}],
        ),
        (PIPELINE, '{"inputs": "a", "parameters": null}', ["a", {}]),
        (PIPELINE, '{"text": "a"}', [{"text": "a"}, {}]),
        (PIPELINE, '["a"]', [["a"], {}]),
        ("Estimator()", "[1, 2]", [[1, 2]]),
        ("Estimator()", "[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
    ],
)
def test_without_predict_fn_the_model_is_called(load: Load, model: str, body: str, answer: object):
    caller = load(f"""
class Estimator:
    def predict(self, table):
        assert table.ndim == 2
        return table
def model_fn(model_dir): return {model}
""")

    assert caller.ask(body, content_type="application/json").json == answer


def test_a_model_that_cannot_be_called_is_an_error_at_load(load: Load):
    with pytest.raises(PortsideError, match="a model of type `dict` neither can be called"):
        load("def model_fn(model_dir): return {}")


def test_without_model_fn_the_checkpoint_is_read(load: Load):
    with pytest.raises(PortsideError, match=r"it has no `config\.json`"):
        load("def output_fn(prediction, accept): ...")


# --- The context -------------------------------------------------------------------------


def test_the_context_is_the_model_servers(load: Load, tmp_path: Path):
    caller = load("""
def model_fn(model_dir, context): return context.system_properties
def transform_fn(model, data, content_type, accept, context):
    context.set_response_header(0, "X-Seen", "1")
    context.request_processor[0].add_response_property("X-Also", "2")
    context.set_response_header(0, "Content-Type", "text/html")
    assert context.get_response_headers(0)["Content-Type"] == "text/html"
    assert context.system_properties is model
    return repr([
        model["model_dir"], model.get("gpu_id"),
        context.get_request_id(0), context.get_request_id(),
        context.get_request_header(0, "X-Key"), context.get_request_header(0, "X-None"),
        context.get_all_request_header(0).get("X-KEY"), dict(context.get_all_request_header(0)),
        context.request_processor[0].get_request_property("X-Key"),
        context.custom_attributes,
    ])
""")
    headers = {"x-key": "v", "x-amzn-sagemaker-custom-attributes": "a=1"}
    reply = caller.ask("1", headers=headers)

    assert eval(reply.body) == [  # noqa: S307 - written above
        *(str(tmp_path), None, "request-1", "request-1", "v", None, "v", headers, "v", "a=1")
    ]
    assert reply.content_type == "text/html"
    assert reply.headers == {"X-Seen": "1", "X-Also": "2"}


def test_a_status_that_the_context_sets_is_answered(load: Load):
    caller = load("""
def model_fn(model_dir): return None
def transform_fn(model, data, content_type, accept, context):
    context.set_response_status(code=422, phrase="no")
    return "not this"
""")

    with pytest.raises(RequestError) as caught:
        caller.ask("1")

    assert (caught.value.status, caught.value.message) == (422, "not this")


# --- Errors --------------------------------------------------------------------------------

UNSUPPORTED = """
class UnsupportedFormatError(Exception): pass
class Mine(UnsupportedFormatError): pass
def model_fn(model_dir): return None
"""


@pytest.mark.parametrize(
    ("function", "status"),
    [
        ("def input_fn(data, content_type): raise Mine('no')\ndef predict_fn(d, m): ...", 415),
        ("def predict_fn(d, m): ...\ndef output_fn(p, a): raise UnsupportedFormatError('no')", 406),
        ("def transform_fn(m, d, c, a): raise UnsupportedFormatError('no')", 415),
    ],
)
def test_formats_that_are_not_supported_are_no_500(load: Load, function: str, status: int):
    with pytest.raises(RequestError) as caught:
        load(UNSUPPORTED + function).ask("1")

    assert (caught.value.status, caught.value.message) == (status, "no")


def test_formats_that_no_codec_has(load: Load):
    with pytest.raises(UnsupportedMediaTypeError):
        load(SHOW).ask("1", content_type="application/x-unknown")
    with pytest.raises(NotAcceptableError):
        load(SHOW).ask("1", accept="audio/ogg")


def test_any_other_error_is_left_to_the_batcher(load: Load):
    code = "def model_fn(d): return print\ndef input_fn(d, c): raise ValueError('theirs')"

    with pytest.raises(ValueError, match="theirs"):
        load(code).ask("1")
