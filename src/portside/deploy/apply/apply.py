"""Do the steps of a plan, one after the other, and wait where SageMaker takes its time.

    step ─▶ (verb, kind) ─▶ its action ─▶ done, or a DeployError in the step's words

A step that fails stops the rest; what came before stays. Names are content-addressed, so
running again plans and does just what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

from portside.aws.logs import LogLine
from portside.aws.session import Session
from portside.deploy.apply.action import ACTIONS, Progress, Pusher, Tools, Verifier
from portside.deploy.apply.watch import Watch
from portside.deploy.plan.step import Step, Verb
from portside.errors import DeployError, RemoteError

__all__ = ["ROLE_PATIENCE_S", "Applier", "Progress", "Pusher", "Reporter"]

ROLE_PATIENCE_S: Final = 60.0
"""How long a new role may take to reach all of AWS; seconds as a rule. IAM is eventually
consistent: IAM User Guide, "Changes that I make are not always immediately visible"."""

_WORDS: Final = {verb: str(verb) for verb in Verb} | {Verb.WAIT: "wait for"}

Reporter: TypeAlias = Callable[[Step], AbstractContextManager[Progress]]
"""Opens around each step; closes with the step's exception where it fails."""


class Applier:
    """Carries out plans in one account; the clock and the pauses are given.

    `push` brings images to ECR, `verify` asks endpoints; without them no plan may have such steps.
    `heard` is told what starting instances print.
    """

    def __init__(
        self,
        session: Session,
        reporter: Reporter,
        *,
        push: Pusher | None = None,
        verify: Verifier | None = None,
        heard: Callable[[LogLine], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tools = Tools(
            session=session,
            watch=Watch(session, sleep=sleep, heard=heard),
            patiently=self._patiently,
            push=push,
            verify=verify,
        )
        self._reporter = reporter
        self._sleep = sleep
        self._clock = clock

    def apply(self, steps: tuple[Step, ...]) -> None:
        """Do the steps in order. Raises the first failure, with the step in its words."""
        for step in steps:
            with self._reporter(step) as progress:
                try:
                    ACTIONS[step.verb, step.kind](self._tools, step, progress)
                except RemoteError as error:
                    what = f"{_WORDS[step.verb]} the {step.kind} `{step.name}`"
                    raise DeployError(
                        f"cannot {what}: {error.message}",
                        hint=error.hint or "mend the cause and run the same command again",
                    ) from error

    def _patiently(self, call: Callable[[], None]) -> None:
        """Try again while a role that was just made has not reached all of AWS."""
        until = self._clock() + ROLE_PATIENCE_S
        while True:
            try:
                return call()
            except RemoteError as error:
                if "assume" not in error.message.lower() or self._clock() > until:
                    raise
            self._sleep(2.0)
