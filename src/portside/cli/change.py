"""Change a project in an account: under its lock, on record, and shown as it goes.

    plan ─▶ the bucket ─▶ lock ─▶ plan again ─▶ steps, each on record

With nothing to do there is no lock and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from portside.aws.logs import LogLine, readable
from portside.aws.session import Session
from portside.cli import logs, output, plan
from portside.deploy.apply.action import Pusher, Verifier
from portside.deploy.apply.apply import Applier, Progress, Reporter
from portside.deploy.apply.startup import shortened
from portside.deploy.desired.name import bucket_name
from portside.deploy.desired.resources import Kind
from portside.deploy.plan.step import Step
from portside.deploy.run.run import alone
from portside.errors import DeployError, PortsideError


def carry_out(
    session: Session,
    project: str,
    steps: tuple[Step, ...],
    *,
    plan_again: Callable[[], tuple[Step, ...]],
    command: str,
    break_lock: bool = False,
    push: Pusher | None = None,
    verify: Verifier | None = None,
) -> tuple[Step, ...]:
    """Do what is to be done, and return the steps that were done.

    `plan_again` looks at the account once the lock is held, because another run may have ended
    in between. `push` and `verify` carry out the steps that need what is on this machine.
    """
    if not steps:
        return ()
    bucket = bucket_name(account=session.account, region=session.region)
    first = tuple(step for step in steps if step.kind is Kind.BUCKET)

    def apply(steps: tuple[Step, ...], reporter: Reporter) -> None:
        ear = _Ear()
        with (
            _counted(reporter, steps, command=command) as counting,
            _explained(session, ear),
        ):
            Applier(session, counting, push=push, verify=verify, heard=ear.hear).apply(steps)

    apply(first, shown)
    with alone(session, project, bucket=bucket, command=command, break_lock=break_lock) as run:
        with output.passing(f"{plan.LOOKING}, alone now"):
            steps = plan_again()
        with run.recorded(steps):
            apply(steps, run.reporter(shown))
    return first + steps


class _Ear:
    """Shows what starting instances print."""

    def __init__(self) -> None:
        self.has_heard = False

    def hear(self, line: LogLine) -> None:
        self.has_heard = True
        first, *others = shortened(readable(line.message)).splitlines() or [""]
        output.note("\n".join([f"  {line.stream}  {first}", *(f"    {each}" for each in others)]))


@contextmanager
def _explained(session: Session, ear: _Ear) -> Iterator[None]:
    """Where an endpoint fails: what its instances printed, and what is known of such failures."""
    try:
        yield
    except DeployError as error:
        if error.endpoint:
            # All that is known of failures takes as long to import as a question to AWS.
            from portside.doctor.log.gather import diagnose_endpoint  # noqa: PLC0415 - see above
            from portside.doctor.log.known.table import GENERAL  # noqa: PLC0415 - see above

            if not ear.has_heard:
                logs.show_tail(session, error.endpoint)
            with suppress(PortsideError):  # the error that is being reported matters more
                for finding in diagnose_endpoint(session, error.endpoint):
                    if finding.check not in GENERAL:  # of which the error itself says more
                        output.note(f"known: {finding.what}")
                        output.note(f"  mend: {finding.mend}")
        raise


@contextmanager
def _counted(reporter: Reporter, steps: tuple[Step, ...], *, command: str) -> Iterator[Reporter]:
    """Where a step fails: its hint ends in what was done before it, and stays."""
    done: list[Step] = []

    @contextmanager
    def counting(step: Step) -> Iterator[Progress]:
        with reporter(step) as progress:
            yield progress
        done.append(step)

    try:
        yield counting
    except DeployError as error:
        if done:
            before = f"{error.hint}\n" if error.hint else ""
            error.hint = (
                f"{before}{len(done)} of {len(steps)} steps are done and stay: `{command}` goes on "
                "from there, `portside destroy` removes what the project has"
            )
        raise


@contextmanager
def shown(step: Step) -> Iterator[Shown]:
    """A spinner for each step, a bar for the upload."""
    text = f"{step.verb} {step.kind} {plan.short(step.name)}"
    if step.size_bytes:
        with output.transfer(text, total_bytes=step.size_bytes) as sent:
            yield Shown(status=lambda _: None, sent=sent)
    else:
        with output.activity(text) as status:
            yield Shown(status=status, sent=lambda _: None)


class Shown:
    """One step on the terminal."""

    def __init__(self, *, status: Callable[[str], None], sent: Callable[[int], None]) -> None:
        self.status = status
        self.sent = sent
        self.note = output.note
