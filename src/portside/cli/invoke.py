"""`portside invoke`: one prediction, signed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from portside.cli import output, target
from portside.client.entity import marked
from portside.client.invoke import invoke
from portside.errors import UsageError


@click.command()
@click.argument("endpoint")
@click.option("--data", help="The request's body, as text.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="The request's body, from a file (`-` is standard input).",
)
@click.option("--content-type", default="application/json", show_default=True)
@click.option("--accept", default=None, help="The content type that is asked for.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer's body alone, untouched.")
@target.option
def command(
    endpoint: str,
    data: str | None,
    file: Path | None,
    content_type: str,
    accept: str | None,
    as_json: bool,
    where: str,
) -> None:
    """Ask ENDPOINT for one prediction; the answer's body goes to stdout.

    Where the answer is named entities, they are shown in their text as well.

    \b
    Example:
      portside invoke ner --data '{"strings": ["Ada Lovelace lives in London"]}'
      portside invoke ner --file request.json --json
    """
    body = _body(data, file)
    session = target.connect(where)
    answer = invoke(session, endpoint, body=body, content_type=content_type, accept=accept)
    if as_json:
        output.raw(answer.body)
        return
    for spans in marked(body, answer.body):
        output.spans(spans)
    output.note(f"{answer.variant} answered in {answer.took_ms:.0f} ms")
    output.raw(answer.body if answer.body.endswith(b"\n") else answer.body + b"\n")


def _body(data: str | None, file: Path | None) -> bytes:
    if (data is None) == (file is None):
        raise UsageError(
            "cannot tell what to send: give either `--data` or `--file`",
            hint="""run `portside invoke ENDPOINT --data '{"strings": ["some text"]}'`""",
        )
    if data is not None:
        return data.encode()
    return sys.stdin.buffer.read() if str(file) == "-" else Path(str(file)).read_bytes()
