"""`portside status`: the project's endpoints as they stand."""

from __future__ import annotations

from pathlib import Path

import click

from portside.aws import sagemaker
from portside.cli import existing, history, output, target


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@target.option
@click.option("--history", "only_history", is_flag=True, help="Show the last runs instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the endpoints as JSON, on stdout.")
def command(folder: Path, where: str, only_history: bool, as_json: bool) -> None:
    """Show the endpoints of the project in DIR as they stand.

    \b
    Example:
      portside status examples/ner
    """
    project = existing.load(folder, command="portside status", where=target.named(where))
    session = target.connect(where)
    if only_history:
        history.show(session, project.name, as_json=as_json)
        return
    found = [
        (endpoint.name, sagemaker.describe_endpoint(session, endpoint.name))
        for endpoint in project.endpoints
    ]
    if as_json:
        output.as_json(
            [
                {
                    "name": name,
                    "status": now.status if now else None,
                    "config": now.config_name if now else None,
                    "reason": now.reason if now else "",
                }
                for name, now in found
            ]
        )
        return
    rows = [
        [name, now.status, now.config_name] if now else [name, "not deployed", ""]
        for name, now in found
    ]
    reasons = [now.reason if now else "" for _, now in found]
    output.table(["endpoint", "status", "config"], rows, below=reasons)
