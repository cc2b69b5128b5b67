"""Which codec reads a body, and in which type an answer is written."""

from __future__ import annotations

import sys

import pytest

from portside.serving import codecs
from portside.serving.codecs import image
from portside.serving.codecs.media_type import parse_accept, parse_media_type
from portside.serving.error import (
    NotAcceptableError,
    PredictionFailedError,
    UnsupportedMediaTypeError,
)


@pytest.mark.parametrize(
    ("header", "name", "parameters"),
    [
        ("text/csv", "text/csv", {}),
        (" Text/CSV ; Header=Present", "text/csv", {"header": "present"}),
        ('text/csv;charset="UTF8"', "text/csv", {"charset": "utf-8"}),
        ('a/b; x="1;2,3"; y=4', "a/b", {"x": "1;2,3", "y": "4"}),
        (r'a/b; x="say \"hi\""', "a/b", {"x": 'say "hi"'}),
        ('a/b; x="never closed; y=1', "a/b", {"x": "never closed; y=1"}),
        ("a/b;;x", "a/b", {"x": ""}),
        ("", "", {}),
        (";", "", {}),
    ],
)
def test_media_types_are_parsed(header: str, name: str, parameters: dict[str, str]):
    media_type = parse_media_type(header)

    assert (media_type.name, media_type.parameters) == (name, parameters)


@pytest.mark.parametrize(
    ("weight", "quality"),
    [("0.25", 0.25), ("1", 1), ("1.000", 1), ("0", 0), ("2", 0), ("nan", 0), ("-1", 0), ("", 0)],
)
def test_a_weight_that_makes_no_sense_counts_as_none(weight: str, quality: float):
    assert [each.quality for each in parse_accept(f"a/b;q={weight}, c/d")] == [quality, 1]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        (" , ", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("Application/JSON", "application/json"),
        ("application/*;q=0.1", "application/json"),
        ("text/html,*/*;q=0.8", "application/json"),
        ("application/json; charset=utf-8; indent=2", "application/json"),
        ("text/csv", "text/csv"),
        ("text/csv, application/json; q=0.5", "text/csv"),
        ("text/csv;q=0.4, application/json; q=0.5", "application/json"),
        ("application/x-npy, application/json", "application/x-npy"),
        ("application/json;q=0, */*", "application/jsonlines"),
        ("text/csv;q=0, text/*", "text/plain"),
        ("text/*", "text/csv"),
        ("text/csv; header=absent", "text/csv; header=absent"),
        ("text/csv; header=maybe, text/plain", "text/plain"),
        ("text/plain; charset=UTF-8", "text/plain"),
        ("text/plain; charset=Latin1", "text/plain; charset=iso-8859-1"),
        ("text/plain; charset=klingon, application/json;q=0.1", "application/json"),
        ('a/b; x="text/csv, text/plain", application/x-npz', "application/x-npz"),
    ],
)
def test_the_type_that_the_caller_wants_most(accept: str | None, chosen: str):
    assert codecs.choose(accept) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/json;q=0",
        "*/*;q=zero",
        "*/*;q=0, application/json;q=0.0",
        "video/*",
        "text/plain; charset=klingon",
    ],
)
def test_what_cannot_be_written_is_not_acceptable(accept: str):
    with pytest.raises(NotAcceptableError, match="accept `application/json`, ") as caught:
        codecs.choose(accept)

    assert f"`{accept}`" in caught.value.message


@pytest.mark.parametrize(
    ("accept", "default", "chosen"),
    [
        (None, "text/csv", "text/csv"),
        ("*/*", "text/csv; header=absent", "text/csv; header=absent"),
        ("text/*", "text/plain", "text/plain"),
        ("application/*", "text/plain", "application/json"),
        ("application/json", "text/csv", "application/json"),
        ("text/html", "text/html", "text/html"),
        ("text/html;q=0, */*;q=0.1", "text/html", "application/json"),
    ],
)
def test_the_default_is_taken_where_the_choice_is_open(
    accept: str | None, default: str, chosen: str
):
    assert codecs.choose(accept, default=default) == chosen


@pytest.mark.parametrize("header", [None, "", " ", "application/json", "Application/JSON; x=1"])
def test_a_body_is_json_unless_told_otherwise(header: str | None):
    assert codecs.decode(b"[1]", header) == [1]


@pytest.mark.parametrize(
    "header", ["text/xml", "application/x-www-form-urlencoded", ";", "*/*", "json", "a" * 5000]
)
def test_other_content_types_are_refused(header: str):
    with pytest.raises(UnsupportedMediaTypeError, match="send `application/json`, "):
        codecs.decode(b"[1]", header)


@pytest.mark.parametrize(
    "content_type",
    [f"{name}; charset=klingon" for name in ("application/json", "text/csv", "text/plain")],
)
def test_other_charsets_are_refused(content_type: str):
    with pytest.raises(UnsupportedMediaTypeError, match="`klingon`; send one of `utf-8`"):
        codecs.decode(b"1", content_type)


def test_a_type_without_a_codec_cannot_be_written():
    with pytest.raises(PredictionFailedError, match="`text/html`"):
        codecs.encode("<p>", "text/html")


def test_images_need_pillow(monkeypatch: pytest.MonkeyPatch):
    # Parameters, because what was chosen for a header before is remembered.
    monkeypatch.setitem(sys.modules, "PIL", None)
    image.is_installed.cache_clear()
    try:
        with pytest.raises(UnsupportedMediaTypeError, match=r"install `portside\[image\]`"):
            codecs.decode(b"", "image/png; without=pillow")
        with pytest.raises(NotAcceptableError, match=r"install `portside\[image\]`"):
            codecs.choose("image/png; without=pillow")
    finally:
        image.is_installed.cache_clear()
