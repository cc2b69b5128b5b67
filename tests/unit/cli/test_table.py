"""Tables at any width: nothing is cut, whatever is in them."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from portside.cli import history, ls, rollback
from portside.cli.table import fill, layout
from portside.deploy.inventory import Holding
from portside.deploy.rollback import Past, Version
from portside.deploy.run.journal import Entry

NOW = 1_800_000_000.0


def lines(columns: list[str], rows: list[list[str]], *below: str, width: int | None) -> list[str]:
    return [line.plain for line in layout(columns, rows, below=below, width=width)]


def test_what_fits_stands_side_by_side() -> None:
    rows = [["ner", "InService"], ["a-longer-name", "Failed"]]

    assert lines(["endpoint", "status"], rows, "", "no capacity", width=24) == [
        "endpoint       status",
        "ner            InService",
        "a-longer-name  Failed",
        "    no capacity",
    ]


def test_what_does_not_fit_is_stacked_and_whole() -> None:
    rows = [["ner", "InService", ""], ["a-longer-name", "Failed", "7 d"]]

    assert lines(["endpoint", "status", "ttl left"], rows, "", "no capacity", width=20) == [
        "ner",
        "  status    InService",
        "a-longer-name",
        "  status    Failed",
        "  ttl left  7 d",
        "  no capacity",
    ]


def test_a_column_with_nothing_in_it_is_left_out() -> None:
    assert lines(["endpoint", "reason"], [["ner", ""]], width=80) == ["endpoint", "ner"]


def test_wide_letters_are_counted_as_wide() -> None:
    assert lines(["name", "n"], [["模型", "1"], ["a", "2"]], width=80)[1:] == ["模型  1", "a     2"]


def test_in_a_pipe_a_row_is_a_line() -> None:
    found = lines(["name", "text"], [["ner", "word " * 40]], "why " * 40, width=None)

    assert len(found) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two three", ["one two", "  three"]),
        ("s3://bucket/a-folder/b", ["s3://", "  bucket/", "  a-folder/", "  b"]),
        ("averyverylongword", ["averyverylongword"]),
        ("a averyverylongword b", ["a", "  averyverylongword", "  b"]),
    ],
)
def test_a_text_is_cut_after_blanks_and_slashes(text: str, expected: list[str]) -> None:
    assert fill(text, width=10, indent="  ") == expected


def test_what_people_see_fits_into_80_columns() -> None:
    holding = Holding(
        project="sentiment-reviews",
        endpoint="sentiment-reviews-canary",
        kind="serverless",
        status="InService",
        created_at=NOW - 86_400,
        idle_month=1_234.5,
        invoked_at=None,
        ttl_h=96,
    )
    version = Version(
        config="sentiment-reviews-canary-0123456789",
        created_at=NOW,
        model_data=(f"s3://bucket/sentiment-reviews/artifacts/{'ab' * 32}/model.tar.gz",),
        image=(f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/sentiment@sha256:{'cd' * 32}",),
        instance_types={},
        is_live=True,
    )
    past = Past(endpoint="e", status="InService", versions=(version,), targets=())
    entry = Entry(
        run="r",
        time="2026-11-23T13:46:07+00:00",
        command="portside rollback",
        who="somebody@a-laptop.example.org (process 123456)",
        plan="0123456789",
        steps=("a", "b"),
        result="the endpoint went back " * 9,
        done=1,
        stopped_at="b",
    )

    for found in (
        lines(ls.COLUMNS, [ls.row(holding, now=NOW)], width=80),
        lines(rollback.COLUMNS, rollback.rows(past), width=80),
        lines(history.COLUMNS, [history.row(entry)], history.stop(entry), width=80),
    ):
        assert max(map(cell_len, found)) <= 80
        assert "…" not in "".join(found)


def test_images_are_shown_by_their_digest_where_they_differ() -> None:
    def version(image: str) -> Version:
        return Version(
            config="c",
            created_at=NOW,
            model_data=(),
            image=(image,),
            instance_types={},
            is_live=False,
        )

    def shown(*images: str) -> list[str]:
        versions = tuple(map(version, images))
        past = Past(endpoint="e", status="InService", versions=versions, targets=())
        return [row[-1] for row in rollback.rows(past)]

    assert shown(f"host/ner@sha256:{'ab' * 32}", "host/runtime:1") == ["ababababab", "runtime:1"]
    assert shown("host/runtime:1", "host/runtime:1") == ["", ""]


@pytest.mark.parametrize(
    ("result", "stopped_at", "shown", "below"),
    [
        ("done", None, "done", ""),
        ("interrupted", "b", "interrupted", "stopped at `b`"),
        ("interrupted", None, "interrupted", "interrupted"),
        ("no capacity", "b", "failed", "stopped at `b`: no capacity"),
        ("the lock was taken", None, "failed", "the lock was taken"),
    ],
)
def test_a_run_says_how_far_it_came(
    result: str, stopped_at: str | None, shown: str, below: str
) -> None:
    entry = Entry(
        run="r",
        time="2026-11-23T13:46:07+00:00",
        command="portside deploy",
        who="ann@box (process 7)",
        plan="p",
        steps=("a", "b", "c"),
        result=result,
        done=1,
        stopped_at=stopped_at,
    )

    assert history.row(entry) == ["2026-11-23 13:46:07", "deploy", "ann@box", "1 of 3", shown]
    assert history.stop(entry) == below
