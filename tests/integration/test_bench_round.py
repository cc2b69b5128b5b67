"""The benchmark's own parts, against a small server: what it measures must be what happened."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.server import Server

# Answers each text with one entity, 20 ms after it was asked, and is healthy after 0.3 s.
SERVER = r"""
import http.server, json, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200 if time.monotonic() > healthy_at else 503, [])

    def do_POST(self):
        strings = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["strings"]
        time.sleep(0.02)
        if sys.argv[2] == "broken":
            self.answer(500, [])
        else:
            self.answer(200, [[{"entity_group": "x", "score": 1.0}] for _ in strings])

    def answer(self, status, value):
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)  # at once, or Nagle's algorithm adds 40 ms

    def log_message(self, *_):
        pass

healthy_at = time.monotonic() + 0.3
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

pytestmark = pytest.mark.usefixtures("bench_is_importable")


def server(tmp_path: Path, how: str = "well") -> Server:
    from bench.server import Server

    program = tmp_path / "server.py"
    program.write_text(SERVER)
    argv = (sys.executable, str(program), "{port}", how)
    return Server(name="small", argv=argv, environment={}, folder=tmp_path)


def test_a_round_sees_the_start_the_wait_and_the_memory(tmp_path: Path):
    from bench.task_speed import measure_round

    texts = [*"abcdefgh"] * 4
    measured = measure_round(server(tmp_path), texts, logs=tmp_path, seconds=0.5)

    assert 0.3 < measured.ping_s < measured.prediction_s - 0.02
    assert 20 < measured.loads[1].p50_ms < 200
    assert measured.loads[1].p50_ms <= measured.loads[1].p99_ms
    assert 5 < measured.loads[1].requests_per_s <= 50
    assert measured.loads[8].requests_per_s > measured.loads[1].requests_per_s
    assert measured.strings_per_s == 8 * measured.strings.requests_per_s
    assert measured.resident_bytes > 5_000_000


def test_our_own_loop_sees_what_wrk_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from bench.load import generator, make_bodies, run_load
    from bench.server import running

    monkeypatch.setenv("PATH", str(tmp_path))
    bodies = make_bodies(["a", "b", "c"])
    with running(server(tmp_path), tmp_path) as started:
        started.wait_for_ping()
        load = run_load(started, bodies, connections=4, duration_s=0.5)

    assert "wrk" not in generator()
    assert 20 < load.p50_ms <= load.p99_ms < 400
    assert 10 < load.requests_per_s <= 200


def test_an_error_ends_the_measurement(tmp_path: Path):
    from bench.task_speed import measure_round

    with pytest.raises(SystemExit, match="status 500"):
        measure_round(server(tmp_path, "broken"), ["a"], logs=tmp_path, seconds=0.1)


def test_an_error_under_load_ends_the_measurement(tmp_path: Path):
    from bench.load import make_bodies, run_load
    from bench.server import running

    with running(server(tmp_path, "broken"), tmp_path) as started:
        started.wait_for_ping()
        with pytest.raises(SystemExit, match=r"failures|status 500"):
            run_load(started, make_bodies(["a"]), connections=1, duration_s=0.1)


def test_a_server_that_dies_is_reported_with_its_log(tmp_path: Path):
    from bench.server import Server, running

    argv = (sys.executable, "-c", "raise SystemExit('no model')")
    dying = Server(name="dying", argv=argv, environment={}, folder=tmp_path)
    with running(dying, tmp_path) as started, pytest.raises(SystemExit, match="no model"):
        started.wait_for_ping()


def test_what_a_server_leaves_behind_ends_with_it(tmp_path: Path):
    import psutil

    from bench.server import Server, running

    program = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(child.pid, flush=True); child.wait()"
    )
    leaving = Server(
        name="leaving", argv=(sys.executable, "-c", program), environment={}, folder=tmp_path
    )
    until = time.monotonic() + 10
    with running(leaving, tmp_path) as started:
        while not started.log.read_text() and time.monotonic() < until:
            time.sleep(0.01)
    child = int(started.log.read_text())
    while psutil.pid_exists(child) and time.monotonic() < until:
        if psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.01)

    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def entity(score: float = 0.9, **changed: object) -> dict[str, object]:
    return {"entity_group": "x", "start": 0, "end": 3, "word": "ada", "score": score} | changed


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([[entity(score=0.9002)]], "scores differ by 0.0002"),
        ([[entity(score=float("nan"))]], "scores differ by"),
        ([[entity(end=4)]], "the answers differ on 'Ada'"),
        ([[entity(entity_group="y")]], "the answers differ on 'Ada'"),
        ([[]], "the answers differ on 'Ada'"),
        ([], "1 and 0 answers to 1 texts"),
    ],
)
def test_no_figures_where_answers_differ(given: list[list[dict[str, object]]], reason: str):
    from bench.agreement import check_agreement

    with pytest.raises(SystemExit, match=reason):
        check_agreement(["Ada"], [[entity()]], given)


def test_equal_answers_agree():
    from bench.agreement import check_agreement

    found = check_agreement(["Ada"], [[entity()]], [[entity(score=0.90005)]])

    assert (found.texts, found.entities) == (1, 1)
    assert found.largest_score_difference == pytest.approx(5e-5)


def test_scores_of_smaller_weights_may_differ_more():
    from bench.agreement import INT8_TOLERANCE, check_agreement

    found = check_agreement(["Ada"], [[entity()]], [[entity(score=0.88)]], tolerance=INT8_TOLERANCE)

    assert found.largest_score_difference == pytest.approx(0.02)


def test_nothing_to_compare_is_not_agreement():
    from bench.agreement import check_agreement

    with pytest.raises(SystemExit, match="no entity in any answer"):
        check_agreement(["Ada"], [[]], [[]])


def test_the_texts_are_the_same_in_every_run():
    from bench.sentence import sentences

    texts = sentences()
    lengths = [len(text.split()) for text in texts]

    assert texts == sentences()
    assert len(texts) == 512
    assert (min(lengths), max(lengths)) == (5, 60)
    assert 16 < sum(lengths) / len(lengths) < 18
