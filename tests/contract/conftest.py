"""The contract suite: which server it is pointed at, and the table at its end.

    pytest tests/contract                             Portside's own server, on the trained model
    pytest tests/contract --url http://127.0.0.1:8080 any server
        --body FILE|TEXT --content-type TYPE          a request that it understands

A check is marked `must` where SageMaker stops working without it, and `should`
where callers or operators suffer. A foreign server that misses a `should` does
not fail the run; it is told at the end. Portside has to hold them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.contract.instance import GOOD_BODY, ON_A_FREE_PORT, Instance
from tests.contract.wire import Target

LEVELS: Final = {
    "must": "SageMaker stops working without it",
    "should": "callers or operators suffer without it; a foreign server may miss it",
}

_HERE: Final = Path(__file__).parent

Note = Callable[[str], None]
Start = Callable[..., Instance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one check ended."""

    level: str
    title: str
    result: str
    """`passed`, `failed` or `skipped`."""


_outcomes: Final = pytest.StashKey[list[Outcome]]()
_notes: Final = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract", "the contract of a SageMaker container")
    group.addoption("--url", help="check the server there instead of Portside's own")
    group.addoption("--body", help="a request that it understands, or a file that holds one")
    group.addoption("--content-type", help="its content type [application/json]")


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in LEVELS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.addinivalue_line("markers", "slow: takes longer than a minute; run with `-m slow`")
    config.stash[_outcomes] = []
    config.stash[_notes] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(_HERE)]
    for item in ours:
        item.add_marker("alone")
    if "slow" not in config.getoption("-m"):
        for item in ours:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: run with `-m slow`"))
    if _url(config):
        # What only Portside's own server can show is in files of its own.
        left_out = [item for item in ours if item.path.name.startswith("test_own_")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _url(config: pytest.Config) -> str | None:
    # Without the option where this file is found after the command line was read.
    url: str | None = config.getoption("--url", default=None)
    return url


# --- What the checks use --------------------------------------------------------


# Of each module, not of the whole run: other tests count the processes that they leave behind.
@pytest.fixture(scope="module")
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """The server that is checked."""
    url = _url(request.config)
    if url:
        yield Target(url=url, body=_body(request.config), content_type=_type(request.config))
        return
    log = tmp_path_factory.mktemp("contract") / "log.txt"
    instance = Instance(request.getfixturevalue("rampart_model"), log)
    try:
        yield instance.until_ready()
        faults = [line for line in instance.records if line["level"] in {"ERROR", "CRITICAL"}]
        assert faults == []
        assert instance.stop() == 0
    finally:
        instance.kill()


def _body(config: pytest.Config) -> bytes:
    given: str | None = config.getoption("--body")
    if given is None:
        return GOOD_BODY
    with suppress(OSError):  # no such file, or no name that a file could have
        return Path(given).read_bytes()
    return given.encode()


def _type(config: pytest.Config) -> str:
    given: str | None = config.getoption("--content-type")
    return given or "application/json"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts instances of Portside's own server, and ends them."""
    instances: list[Instance] = []

    def make(
        model_dir: Path,
        *,
        arguments: Sequence[str] = ON_A_FREE_PORT,
        prefix: Sequence[str] = (),
        **environment: str,
    ) -> Instance:
        log = tmp_path / f"log-{len(instances)}.txt"
        instance = Instance(
            model_dir, log, arguments=arguments, prefix=prefix, environment=environment
        )
        instances.append(instance)
        return instance

    yield make
    for instance in instances:
        instance.kill()


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Adds a line, such as a measured time, under the table."""
    return request.config.stash[_notes].append


# --- The table ------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    level = next((name for name in LEVELS if item.get_closest_marker(name)), None)
    if level is None or (report.when != "call" and report.outcome == "passed"):
        return report
    title = item.name.partition("[")[0].removeprefix("test_").replace("_", " ")
    outcome = Outcome(level=level, title=title, result=report.outcome)
    item.config.stash[_outcomes].append(outcome)
    if level == "should" and report.failed and _url(item.config):
        # Told as an expected failure, which does not fail the run.
        report.outcome = "skipped"
        report.wasxfail = "a server may miss it"
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    outcomes = config.stash[_outcomes]
    if not outcomes:
        return
    terminalreporter.section(f"contract of {_url(config) or 'Portside'}")
    for level in LEVELS:
        results = [outcome.result for outcome in outcomes if outcome.level == level]
        if not results:
            continue
        held, missed = results.count("passed"), results.count("failed")
        skipped = f", {results.count('skipped')} skipped" if "skipped" in results else ""
        terminalreporter.write_line(f"{level:<8}{held} of {held + missed} held{skipped}")
    missed = Counter(
        (outcome.level, outcome.title) for outcome in outcomes if outcome.result == "failed"
    )
    for (level, title), times in missed.items():
        terminalreporter.write_line(
            f"  missed  {level:<8}{title}" + (f" ({times} times)" if times > 1 else "")
        )
    for line in config.stash[_notes]:
        terminalreporter.write_line(line)
