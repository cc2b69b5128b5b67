"""`portside plan`: what `deploy` would do."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from portside import config
from portside.artifact.quantity import size
from portside.aws.session import Session
from portside.cli import output, product, target
from portside.cli.next_command import complete
from portside.cli.product import Product
from portside.deploy.current.current import Current
from portside.deploy.current.observe import observe
from portside.deploy.current.owned import left_over
from portside.deploy.desired.desired import desired
from portside.deploy.desired.resources import Desired, Kind, Where
from portside.deploy.plan.duration import UPLOAD_BYTES_PER_S, longest_start_s, upload_s
from portside.deploy.plan.plan import plan
from portside.deploy.plan.step import Step, Verb
from portside.deploy.price.price import Price, check_budget, prices, sentences
from portside.deploy.price.price_table import AS_OF
from portside.errors import PortsideError

_SIGNS = {
    "create": "+",
    "upload": "+",
    "update": "~",
    "tag": "~",
    "check": "?",
    "verify": "?",
    "wait": "…",
    "delete": "-",
}

_BELOW = "    "

LOOKING = "looking at what is there"


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@target.option
@product.option
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON, on stdout.")
def command(folder: Path, where: str, with_image: bool, as_json: bool) -> None:
    """Show what `deploy` would do with the project in DIR, and do nothing.

    \b
    Example:
      portside plan examples/ner
    """
    project = config.load(folder)
    target.check(where)
    made = product.make(project, where=where, with_image=with_image)
    session = target.connect(where)
    with output.activity(LOOKING):
        looked = look(session, project, made)
    show_left_over(looked, folder, where)
    if as_json:
        output.as_json([described(step, looked.prices) for step in looked.steps])
        return
    show(looked.steps, project.name, session)
    show_prices(looked.prices, where)
    show_budget(project, looked, session, where)
    show_duration(looked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A plan with what it was made from, and what its endpoints cost."""

    wanted: Desired
    current: Current
    steps: tuple[Step, ...]
    prices: tuple[Price, ...]
    left_over: tuple[str, ...]
    """Endpoints of the project that its file no longer names: they stay, and may cost."""


def look(session: Session, project: config.Project, made: Product) -> Look:
    """Look at the account, and plan."""
    data = made.model_data
    place = Where(account=session.account, region=session.region)
    wanted = desired(project, data, where=place, image=made.image_data)
    current = observe(session, wanted)
    names = {endpoint.name for endpoint in wanted.endpoints}
    return Look(
        wanted=wanted,
        current=current,
        steps=plan(wanted, current),
        prices=prices(wanted, region=session.region, latency_ms=data.latency_ms if data else None),
        left_over=left_over(session, project.name, wanted=names),
    )


def show(steps: tuple[Step, ...], project: str, session: Session) -> None:
    """The steps for people, on stdout."""
    place = f"account {session.account}, {session.region}"
    if not steps:
        output.data(f"{project}: nothing to do ({place})")
        return
    sent = sum(step.size_bytes for step in steps)
    upload = f", {size(sent)} to upload" if sent else ""
    count = "1 step" if len(steps) == 1 else f"{len(steps)} steps"
    output.data(f"{project}: {count}{upload} ({place})")
    width = max(len(step.kind) for step in steps)
    for step in steps:
        _show_step(f"  {_SIGNS[step.verb]} {step.verb:6} {step.kind:{width}} ", step)


def _show_step(first: str, step: Step) -> None:
    """On one line where that fits, else with its name below."""
    name, reason = short(step.name), f"({short(step.reason)})"
    if output.fits(f"{first}{name}  {reason}"):
        output.data(f"{first}{name}  {reason}")
    else:
        output.folded(f"{first.rstrip()}  {reason}", indent=_BELOW)
        output.folded(name, first=_BELOW, indent=_BELOW)
    for change in step.changes:
        text = f"{change.field}: {_shown(change.old)} → {_shown(change.new)}"
        output.folded(text, first=_BELOW, indent=f"{_BELOW}  ")


def show_left_over(looked: Look, folder: Path, where: str) -> None:
    """Endpoints that a rename, or a table that was removed, leaves behind."""
    for name in looked.left_over:
        remove = f"`portside destroy --endpoint {name}`"
        output.note(
            f"  {name} is there, and no longer in the project's file; "
            f"{complete(remove, folder, where=target.named(where))} removes it"
        )


def show_prices(found: tuple[Price, ...], where: str) -> None:
    """What the endpoints cost, aside: on the local AWS nothing does."""
    for price in found:
        first, *rest = sentences(price)
        output.note(f"  {'would cost on AWS: ' if where == target.LOCAL else ''}{first}")
        for line in rest:
            output.note(f"    {line}")


def show_budget(project: config.Project, looked: Look, session: Session, where: str) -> None:
    """Whether `deploy` would ask for `--yes`, aside."""
    if where != target.AWS:
        return
    try:
        check_budget(
            project,
            looked.prices,
            steps=looked.steps,
            desired=looked.wanted,
            current=looked.current,
            region=session.region,
        )
    except PortsideError as error:
        output.note(f"  `deploy` would refuse: {error.message}")
        output.note(f"  {error.hint}")


def show_duration(looked: Look) -> None:
    """How long it may take on AWS, aside."""
    sent, start = upload_s(looked.steps), longest_start_s(looked.steps, looked.wanted)
    rate = UPLOAD_BYTES_PER_S // 1_000_000
    parts = [f"{sent:.0f} s to upload (at {rate} MB/s, assumed)"] if sent >= 1 else []
    parts += [f"up to {start / 60:.0f} minutes until SageMaker gives up"] if start else []
    if parts:
        output.note(f"  takes on AWS: {', '.join(parts)}")


def short(name: str) -> str:
    """A name for people: of a whole digest the first ten digits will do."""
    return re.sub(r"([0-9a-f]{10})[0-9a-f]{54}", r"\1…", name)


def _shown(value: object) -> str:
    return "none" if value is None else short(str(value))


def described(step: Step, found: tuple[Price, ...] = ()) -> dict[str, Any]:
    """A step for programs; one that changes an endpoint tells its price, in US dollars."""
    names = ("id", "verb", "kind", "name", "reason")
    shown: dict[str, Any] = {name: str(getattr(step, name)) for name in names}
    if step.size_bytes:
        shown["size_bytes"] = step.size_bytes
    if step.changes:
        shown["changes"] = [asdict(change) for change in step.changes]
    if step.kind is Kind.ENDPOINT and step.verb in {Verb.CREATE, Verb.UPDATE}:
        shown["price"] = next((_price(one) for one in found if one.endpoint == step.name), None)
    return shown


def _price(price: Price) -> dict[str, Any]:
    return {
        "hour_usd": price.hour,
        "idle_month_usd": price.idle_month,
        "most_month_usd": price.most_month,
        "million_requests_usd": price.million_requests,
        "latency_ms": price.latency_ms,
        "latency_is_measured": price.is_measured,
        "unknown": list(price.unknown),
        "as_of": AS_OF,
    }
