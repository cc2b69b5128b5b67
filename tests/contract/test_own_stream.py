"""Answers that come in chunks: each as soon as it is made, and told from one that broke off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contract.conftest import Start
from tests.contract.instance import eventually, json_request, write_program
from tests.contract.wire import WireError

WORDS = """
import pathlib, time
def load_model(model_dir):
    return pathlib.Path(model_dir)
def predict(words, folder):
    try:
        for word in words:
            while word == "wait" and not (folder / "go").exists():
                time.sleep(0.01)
            if word == "fail":
                raise RuntimeError("no more words")
            yield word
    finally:
        (folder / "closed").touch()
"""


@pytest.mark.must
def test_each_chunk_arrives_before_the_next_is_made(tmp_path: Path, start: Start):
    target = start(write_program(tmp_path, WORDS)).until_ready()
    with target.connect() as wire:
        wire.send(json_request(["one", "two", "wait", "three"]))
        head = wire.read_head()
        chunks = wire.read_chunks(head)

        # The third is not made before the file is there.
        assert [next(chunks), next(chunks)] == [b"one", b"two"]
        assert target.ping().status == 200
        (tmp_path / "go").touch()
        assert list(chunks) == [b"wait", b"three"]
        assert wire.ask("GET", "/ping").status == 200

    assert head.status == 200
    assert head.headers["transfer-encoding"] == "chunked"


@pytest.mark.must
def test_a_stream_that_breaks_off_cannot_be_taken_for_a_whole_one(tmp_path: Path, start: Start):
    target = start(write_program(tmp_path, WORDS)).until_ready()
    with target.connect() as wire:
        wire.send(json_request(["one", "fail"]))
        chunks = wire.read_chunks(wire.read_head())

        assert next(chunks) == b"one"
        with pytest.raises(WireError):
            next(chunks)

    assert target.invoke(b'["again"]').body == b"again"


@pytest.mark.must
def test_a_fault_before_the_first_chunk_has_its_status(tmp_path: Path, start: Start):
    target = start(write_program(tmp_path, WORDS)).until_ready()

    answer = target.invoke(b'["fail"]')

    assert answer.status == 500
    assert "no more words" not in answer.text


@pytest.mark.should
def test_a_caller_that_hangs_up_ends_the_generator(tmp_path: Path, start: Start):
    target = start(write_program(tmp_path, WORDS)).until_ready()
    far_more_than_sockets_hold = ["word" * 100] * 20_000
    with target.connect() as wire:
        wire.send(json_request(far_more_than_sockets_hold))
        assert wire.read_head().status == 200

    eventually((tmp_path / "closed").exists)
    assert target.invoke(b'["again"]').body == b"again"


@pytest.mark.should
def test_a_caller_of_http_1_0_gets_the_stream_until_the_end(tmp_path: Path, start: Start):
    target = start(write_program(tmp_path, WORDS)).until_ready()
    body = json.dumps(["one", "two"]).encode()
    with target.connect() as wire:
        head = f"POST /invocations HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.send(head.encode() + body)
        answer = wire.read_answer("POST")

        assert answer.body == b"onetwo"
        assert wire.is_closed()
    assert "transfer-encoding" not in answer.headers
