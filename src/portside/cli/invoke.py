"""`portside invoke`: one prediction, signed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from portside.archive.partial import write_whole
from portside.artifact.quantity import size
from portside.aws import runtime
from portside.aws.session import Session
from portside.cli import output, target
from portside.client.background import invoke_async
from portside.client.connection import measure_connect_ms
from portside.client.endpoint import Kind, look_up
from portside.client.entity import marked
from portside.client.invoke import Exchange, Timings, check_payload, open_exchange
from portside.client.payload import JSON, content_type_of, limit_bytes
from portside.errors import UsageError

STDIN = Path("-")


@click.command()
@click.argument("endpoint")
@click.option("--data", help="The request's body, as text.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="The request's body, from a file (`-` is standard input).",
)
@click.option(
    "--content-type",
    help=f"Of the body.  [default: what the file's name tells, else {JSON}]",
)
@click.option("--accept", help="The content type that is asked for.")
@click.option("--variant", help="The ProductionVariant to ask, whatever the weights.")
@click.option("--session", "session_id", help="A sticky session to ask in; NEW_SESSION begins one.")
@click.option("--stream", is_flag=True, help="Ask for a streamed answer, and print it as it comes.")
@click.option(
    "--async",
    "is_async",
    is_flag=True,
    help="Ask an asynchronous endpoint: by way of S3, and wait for the answer.",
)
@click.option("--timings", is_flag=True, help="Show where the time went.")
@click.option(
    "--output",
    "place",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the answer's body to this file instead of stdout.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer's body alone, untouched.")
@target.option
def command(
    endpoint: str,
    data: str | None,
    file: Path | None,
    content_type: str | None,
    accept: str | None,
    variant: str | None,
    session_id: str | None,
    stream: bool,
    is_async: bool,
    timings: bool,
    place: Path | None,
    as_json: bool,
    where: str,
) -> None:
    """Ask ENDPOINT for one prediction; the answer's body goes to stdout.

    Where the answer is named entities, they are shown in their text as well.

    \b
    Examples:
      portside invoke ner --data '{"strings": ["Ada Lovelace lives in London"]}'
      portside invoke ner --file request.json --json
      portside invoke cats --file cat.jpg --timings
    """
    _check_source(data, file)
    alone = {"--variant": variant, "--session": session_id, "--stream": stream}
    _check_async(is_async, {**alone, "--timings": timings})
    kind_of_body = content_type or _content_type(file)
    session = target.connect(where)
    if file not in {None, STDIN} and not is_async:
        check_payload(session, endpoint, size_bytes=Path(str(file)).stat().st_size)
    request = runtime.Request(
        body=_read(data, file, most_bytes=limit_bytes(Kind.ASYNC if is_async else Kind.REALTIME)),
        content_type=kind_of_body,
        accept=accept,
        variant=variant,
        session_id=session_id,
    )
    if is_async:
        _print(_ask_async(session, endpoint, request), place, as_it_is=as_json)
        return
    connect_ms = measure_connect_ms(session.runtime.meta.endpoint_url) if timings else None
    exchange = open_exchange(session, endpoint, request=request, streamed=stream)
    answered = None
    if place is None and (stream or as_json):
        _flow(exchange, as_it_is=as_json)
    else:
        answered = exchange.read()
    if not as_json:
        for spans in marked(request.body, answered or b""):
            output.spans(spans)
        _tell(exchange)
    if timings:
        _show(exchange.timings, connect_ms=connect_ms)
    if answered is not None:
        _print(answered, place, as_it_is=as_json)


def _check_source(data: str | None, file: Path | None) -> None:
    if (data is None) == (file is None):
        raise UsageError(
            "cannot tell what to send: give either `--data` or `--file`",
            hint="""run `portside invoke ENDPOINT --data '{"strings": ["some text"]}'`""",
        )


def _check_async(is_async: bool, others: dict[str, object]) -> None:
    given = [f"`{name}`" for name, value in others.items() if value]
    if is_async and given:
        raise UsageError(
            f"cannot send an asynchronous request with {', '.join(given)}: it goes by way of S3",
            hint=f"leave out {' and '.join(given)}",
        )


def _content_type(file: Path | None) -> str:
    return JSON if file is None or file == STDIN else content_type_of(file)


def _read(data: str | None, file: Path | None, *, most_bytes: int) -> bytes:
    if data is not None:
        return data.encode()
    if file == STDIN:
        # One byte more than the limit is refused later; a stream may have no end.
        return sys.stdin.buffer.read(most_bytes + 1)
    return Path(str(file)).read_bytes()


def _ask_async(session: Session, endpoint: str, request: runtime.Request) -> bytes:
    found = look_up(session, endpoint)
    with output.activity(f"waiting for {endpoint}"):
        return invoke_async(
            session,
            found,
            request=request,
            told=lambda where: output.note(f"  the answer will lie at {where}"),
        )


def _flow(exchange: Exchange, *, as_it_is: bool) -> None:
    """Print the answer's body as it comes."""
    for chunk in exchange.chunks():
        output.raw(chunk)
    output.raw(b"" if as_it_is else b"\n")


def _print(body: bytes, place: Path | None, *, as_it_is: bool) -> None:
    if place is None:
        output.raw(body if as_it_is or body.endswith(b"\n") else body + b"\n")
        return
    write_whole(place, body)
    output.note(f"wrote {place}, {size(len(body))}")


def _tell(exchange: Exchange) -> None:
    """Who answered, and how fast."""
    answer, took_ms = exchange.answer, exchange.timings.whole_ms
    output.note(f"{answer.variant} answered in {took_ms:.0f} ms")
    if answer.new_session_id:
        output.note(f"session {answer.new_session_id}")


def _show(timings: Timings, *, connect_ms: float | None) -> None:
    """What was measured, beside the answer."""
    connect = "not measured" if connect_ms is None else f"{connect_ms:.1f} ms"
    rows = [
        ["connect", connect],
        ["first byte", f"{timings.first_byte_ms:.1f} ms"],
        ["whole answer", f"{timings.whole_ms:.1f} ms"],
        ["sent", f"{timings.sent_bytes:,} bytes"],
        ["received", f"{timings.received_bytes:,} bytes"],
    ]
    output.table(["timings", ""], rows, aside=True)
