"""The page as a browser gets it."""

from __future__ import annotations

import json
import re

import pytest
from starlette.testclient import TestClient

from portside import contract
from portside.console import app
from portside.console.app import Console
from portside.console.trial import Answer
from tests.unit.console.console_fakes import (
    HOSTILE,
    NOW,
    FakeAccount,
    make_described,
    make_line,
    make_refusal,
)

TRY = "/endpoints/ner/try"


def browser(account: FakeAccount) -> TestClient:
    console = Console(account, place="local AWS", clock=lambda: NOW)
    return TestClient(console.application(), base_url="http://127.0.0.1:4567")


def token(page: TestClient) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page.get("/endpoints/ner").text)
    assert found is not None
    return found[1]


def test_all_endpoints() -> None:
    account = FakeAccount(
        described=[make_described(), make_described("old", EndpointStatus="Deleting")],
        has_metrics=True,
    )
    shown = browser(account).get("/").text

    assert '<a href="/endpoints/ner">ner</a>' in shown
    assert '<span class="pill busy">Deleting</span>' in shown
    assert "changed <time" in shown
    assert ">12 min ago</time>" in shown
    assert "<small>last hour: " in shown


def test_a_part_of_a_name_and_the_next_page_are_asked_for() -> None:
    account = FakeAccount()
    page = browser(account)

    assert "/?name=n&amp;after=next" in page.get("/?name=n").text
    page.get("/?name=n&after=next")

    assert [asked for asked in account.asked if asked[0] == "n"] == [("n", ""), ("n", "next")]


def test_nothing_there_is_said() -> None:
    page = browser(FakeAccount(described=[]))

    assert "portside deploy" in page.get("/").text
    assert "No endpoint has <b>&lt;b&gt;</b>" in page.get("/?name=<b>").text


def test_one_endpoint_without_metrics() -> None:
    shown = browser(FakeAccount(lines=[make_line("listening")])).get("/endpoints/ner").text

    assert "No metrics yet" in shown
    assert "<span>listening</span>" in shown
    assert "Last change: InService" in shown
    assert "serverless · 2048 MB · up to 5 at once" in shown


def test_plots_are_drawn_on_the_server() -> None:
    shown = browser(FakeAccount(has_metrics=True)).get("/endpoints/ner/plots").text

    assert shown.count('<svg height="150"') == 4
    assert '<path class="line first" d="M' in shown
    assert "<th scope=" in shown
    assert "<html" not in shown


@pytest.mark.parametrize("code", ["NotImplementedException", "UnknownOperationException"])
def test_a_target_without_cloudwatch_has_no_metrics_yet(code: str) -> None:
    account = FakeAccount(refusals={"measured": make_refusal(code)})
    page = browser(account)

    assert "No metrics yet" in page.get("/endpoints/ner").text
    assert page.get("/").status_code == 200


def test_a_part_that_is_refused_says_so_and_the_others_stay() -> None:
    refused = make_refusal(message="`cloudwatch:GetMetricData` was refused: no")
    account = FakeAccount(refusals={"measured": refused, "log": refused})
    shown = browser(account).get("/endpoints/ner").text

    assert shown.count("`cloudwatch:GetMetricData` was refused: no") == 2
    assert "InService" in shown


def test_an_account_that_does_not_answer() -> None:
    account = FakeAccount(refusals={"endpoints": make_refusal(message="cannot reach it")})
    response = browser(account).get("/")

    assert response.status_code == 502
    assert "cannot reach it" in response.text
    assert "<p>ask</p>" in response.text


def test_no_such_endpoint_and_no_such_part() -> None:
    page = browser(FakeAccount())

    assert [page.get(path).status_code for path in ("/endpoints/x", "/endpoints/ner/x")] == [
        404
    ] * 2


def test_the_log_is_narrowed() -> None:
    account = FakeAccount(streams=["v/i-1", "v/i-2"])
    shown = browser(account).get("/endpoints/ner?stream=v/i-2&filter=exit").text
    _, query = next(asked for asked in account.asked if asked[0] == "ner")

    assert (query.stream, query.pattern) == ("v/i-2", '"exit"')
    assert query.since_ms == int(NOW.timestamp() * 1000) - 24 * 3600 * 1000
    assert "<option selected>v/i-2</option>" in shown
    assert "No such lines in the last day." in shown


def test_a_request_is_tried() -> None:
    entity = {"entity_group": "CITY", "start": 0, "end": 6}
    account = FakeAccount(
        answer=Answer(
            status=200,
            body=json.dumps([[entity]]).encode(),
            took_ms=7.1,
            variant="blue",
            custom_attributes="trace=7",
        )
    )
    page = browser(account)
    shown = page.post(TRY, data={"token": token(page), "text": "London <b>"}).text

    assert '<mark class="kind-0">London <small>CITY</small></mark> &lt;b&gt;' in shown
    assert "<dd>7 ms</dd>" in shown
    assert "<dd>blue</dd>" in shown
    assert "<dd>trace=7</dd>" in shown
    assert ">London &lt;b&gt;</textarea>" in shown


def test_a_body_stays_in_its_form() -> None:
    page = browser(FakeAccount(answer=Answer(status=400, body=b"bad", took_ms=1)))
    form = {"token": token(page), "kind": "body", "content_type": "text/csv", "body": "1,2"}
    shown = page.post(TRY, data=form).text

    assert ">1,2</textarea>" in shown
    assert '<details id="any-body" open>' in shown
    assert "The model answered 400" in shown


def test_an_answer_alone() -> None:
    page = browser(FakeAccount(answer=Answer(status=200, body=b"1", took_ms=1)))
    shown = page.post(f"{TRY}?part=answer", data={"token": token(page), "text": "x"}).text

    assert shown.startswith('<div class="answer good">')


def test_what_is_refused_is_shown() -> None:
    page = browser(FakeAccount(refusals={"ask": make_refusal("ThrottlingException", "too many")}))
    shown = page.post(TRY, data={"token": token(page), "text": "x"}).text
    wrong = page.post(TRY, data={"token": token(page), "kind": "body"}).text

    assert "ThrottlingException" in shown
    assert "too many" in shown
    assert "cannot send a body without a content type" in wrong


def test_a_body_that_sagemaker_does_not_take_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "REALTIME_PAYLOAD_BYTES", 10)
    account = FakeAccount()
    page = browser(account)
    form = {"token": token(page), "kind": "body", "content_type": "text/csv", "body": "x" * 11}

    assert "11 bytes are more than SageMaker takes" in page.post(TRY, data=form).text


def test_a_form_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LARGEST_FORM_BYTES", 100)
    page = browser(FakeAccount())

    assert page.post(TRY, data={"text": "x" * 200}).status_code == 413


def test_forms_of_other_sites_are_refused() -> None:
    page = browser(FakeAccount())

    assert page.post(TRY, data={"text": "x"}).status_code == 403
    assert page.post(TRY, data={"text": "x", "token": "gü"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7"])
def test_other_names_of_this_machine_are_refused(host: str) -> None:
    assert browser(FakeAccount()).get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("path", ["/", "/endpoints/ner", "/endpoints/ner/log", "/endpoints/none"])
def test_nothing_from_elsewhere_and_nothing_in_the_page_runs(path: str) -> None:
    response = browser(FakeAccount()).get(path)
    policy = response.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert not re.search(r"<style|style=|<script(?! src=\"/static/)| on[a-z]+=", response.text)
    assert not re.search(r"(src|href)=\"(?!/|#)", response.text)


def test_hostile_words_stay_words() -> None:
    variant = {"VariantName": "v", "VariantStatus": [{"Status": HOSTILE}]}
    answer = Answer(
        status=200,
        body=json.dumps({HOSTILE: HOSTILE}).encode(),
        took_ms=1,
        variant=HOSTILE,
        content_type=HOSTILE,
        custom_attributes=HOSTILE,
    )
    account = FakeAccount(
        described=[make_described(FailureReason=HOSTILE, ProductionVariants=[variant])],
        lines=[make_line(HOSTILE, stream=HOSTILE), make_line(json.dumps({"level": HOSTILE}))],
        streams=[HOSTILE, "other"],
        answer=answer,
    )
    page = browser(account)
    pages = [
        page.get("/").text,
        page.get("/endpoints/ner", params={"stream": HOSTILE, "filter": HOSTILE}).text,
        page.post(
            TRY,
            data={"token": token(page), "kind": "body", "content_type": "a", "body": HOSTILE},
        ).text,
    ]

    assert all("&lt;script&gt;" in shown for shown in pages)
    assert [shown for shown in pages if "<script>" in shown or "<img" in shown] == []


def test_entities_of_hostile_texts_and_labels() -> None:
    entity = {"entity_group": HOSTILE, "start": 0, "end": len(HOSTILE)}
    answer = Answer(status=200, body=json.dumps([entity]).encode(), took_ms=1)
    page = browser(FakeAccount(answer=answer))
    shown = page.post(TRY, data={"token": token(page), "text": HOSTILE}).text

    assert '<mark class="kind-0">&lt;script&gt;' in shown
    assert "<script>" not in shown


def test_static_files() -> None:
    page = browser(FakeAccount())

    for name in ("console.css", "console.js", "icon.svg"):
        assert page.get(f"/static/{name}").status_code == 200
    assert page.get("/static/../app.py").status_code == 404
