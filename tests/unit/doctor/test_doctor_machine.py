"""Every check of the machine and of the account."""

from __future__ import annotations

import pytest

from portside.doctor import table
from portside.doctor.account.fact import Account, Denial, Role
from portside.doctor.account.gather import gather
from portside.doctor.machine.fact import Machine, Port
from portside.doctor.machine.gather import is_direct, missing
from portside.errors import RemoteError

MACHINES: dict[str, tuple[Machine, Machine]] = {
    "machine-python": (Machine(python=(3, 14)), Machine(python=(3, 12))),
    "machine-extra": (
        Machine(missing={"export": ("torch",)}, needs_export=True, engine="docker 27"),
        Machine(missing={"export": ("torch",)}),
    ),
    "machine-disk": (Machine(free_bytes=10**8), Machine()),
    "machine-port": (Machine(port_state=Port.TAKEN), Machine(port_state=Port.OURS)),
    "machine-engine": (Machine(engine_flaw="no docker"), Machine(engine="docker 27")),
    "machine-proxy": (
        Machine(proxies=("HTTP_PROXY",), is_loopback_direct=False),
        Machine(proxies=("HTTP_PROXY",)),
    ),
}

SAGEMAKER = frozenset({"sagemaker.amazonaws.com"})


def denied(code: str) -> Account:
    return Account(denials=(Denial(operation="sts:GetCallerIdentity", code=code, message="no"),))


ACCOUNTS: dict[str, tuple[Account, Account]] = {
    "aws-credentials": (denied("ExpiredToken"), denied("AccessDenied")),
    "aws-clock": (Account(clock_skew_s=-400), Account(clock_skew_s=3)),
    "aws-quota": (
        Account(wanted={"ml.g5.xlarge": 1}, quotas={"ml.g5.xlarge": 0}),
        Account(wanted={"ml.g5.xlarge": 1}, quotas={"ml.g5.xlarge": 1}),
    ),
    "aws-trust": (
        Account(roles=(Role(name="r", principals=frozenset({"ec2.amazonaws.com"})),)),
        Account(roles=(Role(name="r", principals=SAGEMAKER),)),
    ),
    "aws-permission": (denied("AccessDeniedException"), denied("ExpiredToken")),
}


@pytest.mark.parametrize("name", MACHINES)
def test_of_a_machine(name: str) -> None:
    wrong, well = MACHINES[name]
    (check,) = (check for check in table.MACHINE if check.name == name)

    assert len(check.findings(wrong)) == 1
    assert check.findings(well) == ()


@pytest.mark.parametrize("name", ACCOUNTS)
def test_of_an_account(name: str) -> None:
    wrong, well = ACCOUNTS[name]
    (check,) = (check for check in table.ACCOUNT if check.name == name)

    assert len(check.findings(wrong)) == 1
    assert check.findings(well) == ()


def test_every_check_has_a_case() -> None:
    assert sorted(MACHINES) == sorted(check.name for check in table.MACHINE)
    assert sorted(ACCOUNTS) == sorted(check.name for check in table.ACCOUNT)


@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("ExpiredToken", "aws sso login"),
        ("NoCredentials", "aws configure"),
        ("Config", "aws configure list"),
    ],
)
def test_each_refusal_says_the_next_step(code: str, step: str) -> None:
    (check,) = (check for check in table.ACCOUNT if check.name == "aws-credentials")

    (found,) = check.findings(denied(code))

    assert step in found.mend


def test_a_region_that_nobody_answers_in_is_asked_about() -> None:
    (check,) = (check for check in table.ACCOUNT if check.name == "aws-credentials")
    denial = Denial(operation="sts:x", code="Unreachable", message="no", hint="the network")

    (wrong,) = check.findings(Account(region="us-esat-1", denials=(denial,)))
    (right,) = check.findings(Account(region="us-east-1", denials=(denial,)))

    assert "did you mean `us-east-1`" in wrong.mend
    assert right.mend == "the network"


def test_an_account_without_a_region_is_a_fact() -> None:
    error = RemoteError(
        "cannot choose an AWS region", service="session", operation="configure", code="Config"
    )

    def connect() -> None:
        raise error

    facts = gather(connect, None, quota=lambda _, __: None, clock=lambda _: None)

    assert [(denial.operation, denial.code) for denial in facts.denials] == [
        ("session:configure", "Config")
    ]


def test_modules_that_are_not_there() -> None:
    assert missing({"a": ("json", "no_such_module"), "b": ("json",)}) == {"a": ("no_such_module",)}


@pytest.mark.parametrize(
    ("said", "direct"),
    [("", False), ("localhost,127.0.0.1", True), ("*", True), ("example.com", False)],
)
def test_what_a_proxy_is_not_asked_for(said: str, direct: bool) -> None:
    assert is_direct("127.0.0.1", {"NO_PROXY": said}) is direct
