"""IAM's decision, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from portside.local.delegated.policy import Access, allows
from portside.local.delegated.role_check import Role

OBJECT = "arn:aws:s3:::models/ner/model.tar.gz"
CONTEXT = {
    "aws:PrincipalAccount": "000000000000",
    "aws:SecureTransport": "true",
    "s3:ExistingObjectTag/*": None,
}
READ = Access(action="s3:GetObject", resource=OBJECT, context=CONTEXT)


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "s3:GetObject", "Resource": "*"} | elements


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


ALL = statement(Action="*")
CONDITIONED = {"StringEquals": {"aws:PrincipalAccount": "000000000000"}}


@pytest.mark.parametrize(
    ("expected", "statements"),
    [
        (False, []),
        (True, [statement()]),
        # Action
        (True, [statement(Action=["s3:PutObject", "s3:GetObject"])]),
        (True, [statement(Action="S3:getobject")]),
        (True, [statement(Action="s3:Get*")]),
        (True, [statement(Action="s3:GetObjec?")]),
        (False, [statement(Action="s3:Get")]),
        (False, [statement(Action="s3:GetObject?")]),
        (False, [statement(Action="s3.GetObject")]),
        (False, [{"Effect": "Allow", "Resource": "*"}]),
        (True, [{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}]),
        (False, [{"Effect": "Allow", "NotAction": ["iam:*", "s3:*"], "Resource": "*"}]),
        # Resource
        (True, [statement(Resource=OBJECT)]),
        (True, [statement(Resource=["arn:aws:s3:::other/*", "arn:aws:s3:::models/*"])]),
        (True, [statement(Resource="arn:aws:s3:::mode?s/ner/*.gz")]),
        (False, [statement(Resource="arn:aws:s3:::models")]),
        (False, [statement(Resource="arn:aws:s3:::Models/*")]),
        (False, [statement(Resource="arn:aws:s3:::models/n.r/*")]),
        (False, [{"Effect": "Allow", "Action": "s3:GetObject"}]),
        (True, [{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::other/*"}]),
        (False, [{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::models/*"}]),
        (False, [statement(Resource="arn:aws:s3:::${aws:PrincipalAccount}/*")]),
        # Deny
        (False, [ALL, statement("Deny")]),
        (False, [statement("Deny"), ALL]),
        (True, [ALL, statement("Deny", Resource="arn:aws:s3:::other/*")]),
        (True, [ALL, statement("Deny", Action="s3:PutObject")]),
        (False, [ALL, {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"}]),
        # Condition
        (True, [statement(Condition=CONDITIONED)]),
        (True, [statement(Condition={"StringEquals": {"AWS:principalaccount": ["000000000000"]}})]),
        (False, [statement(Condition={"StringEquals": {"aws:PrincipalAccount": "1"}})]),
        (True, [statement(Condition={"StringNotEquals": {"aws:PrincipalAccount": ["1", "2"]}})]),
        (
            False,
            [statement(Condition={"StringNotEquals": {"aws:PrincipalAccount": ["1", "0" * 12]}})],
        ),
        (True, [statement(Condition={"StringLike": {"aws:PrincipalAccount": "0*"}})]),
        (False, [statement(Condition={"StringNotLike": {"aws:PrincipalAccount": "0*"}})]),
        (True, [statement(Condition={"Bool": {"aws:SecureTransport": True}})]),
        (True, [ALL, statement("Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})]),
        (False, [statement(Condition=CONDITIONED | {"Bool": {"aws:SecureTransport": "false"}})]),
        # A tag that the object does not have
        (False, [statement(Condition={"StringEquals": {"s3:ExistingObjectTag/a": "b"}})]),
        (True, [statement(Condition={"StringEqualsIfExists": {"s3:ExistingObjectTag/a": "b"}})]),
        (True, [statement(Condition={"StringNotEquals": {"s3:ExistingObjectTag/a": "b"}})]),
        (True, [statement(Condition={"Null": {"s3:ExistingObjectTag/a": "true"}})]),
        (False, [statement(Condition={"Null": {"s3:ExistingObjectTag/a": "false"}})]),
        (False, [statement(Condition={"ForAnyValue:StringLike": {"s3:ExistingObjectTag/a": "*"}})]),
        # What cannot be evaluated refuses nobody
        (True, [statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})]),
        (True, [statement(Condition={"NumericLessThan": {"aws:PrincipalAccount": "1"}})]),
        (True, [ALL, statement("Deny", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})]),
    ],
)
def test_a_decision(expected: bool, statements: list[dict[str, Any]]) -> None:
    assert allows([policy(*statements)], READ) is expected


def test_a_single_statement_needs_no_list() -> None:
    assert allows([{"Statement": statement()}], READ)


def test_policies_add_up_and_a_deny_in_any_of_them_wins() -> None:
    reads, nothing, denies = policy(statement()), policy(), policy(statement("Deny"))

    assert allows([nothing, reads], READ)
    assert not allows([reads, denies], READ)


@pytest.mark.parametrize("damaged", [{}, {"Statement": "x"}, {"Statement": [{}]}])
def test_what_is_no_policy_allows_nothing(damaged: dict[str, Any]) -> None:
    assert not allows([damaged], READ)


def test_what_cannot_be_evaluated_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    allows([policy(statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))], READ)

    assert "cannot evaluate the condition IpAddress of `aws:SourceIp`; taken as met" in caplog.text


def test_a_variable_is_filled_in() -> None:
    resource = "arn:aws:s3:::models-${aws:PrincipalAccount}/*"
    access = Access(
        action="s3:GetObject", resource="arn:aws:s3:::models-000000000000/a", context=CONTEXT
    )

    assert allows([policy(statement(Resource=resource))], access)


SAGEMAKER = "sagemaker.amazonaws.com"


@pytest.mark.parametrize(
    ("expected", "trust"),
    [
        (True, {"Principal": {"Service": SAGEMAKER}, "Action": "sts:AssumeRole"}),
        (True, {"Principal": {"Service": ["ec2.amazonaws.com", SAGEMAKER]}, "Action": "sts:*"}),
        (True, {"Principal": "*", "Action": "sts:AssumeRole"}),
        (True, {"Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}),
        (False, {"Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}),
        (False, {"Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}),
        (False, {"Principal": {"Service": SAGEMAKER}, "Action": "sts:TagSession"}),
        (False, {"Action": "sts:AssumeRole"}),
        (
            False,
            {
                "Principal": {"Service": SAGEMAKER},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:PrincipalAccount": "1"}},
            },
        ),
    ],
)
def test_trust(expected: bool, trust: dict[str, Any]) -> None:
    role = Role(arn="arn", trust=policy({"Effect": "Allow"} | trust), policies=())

    assert role.may_be_assumed_by(SAGEMAKER, context=CONTEXT) is expected


@pytest.mark.parametrize(
    ("expected", "boundary"),
    [
        (True, None),
        (True, policy(statement(Action="s3:*"))),
        (False, policy(statement(Action="ecr:*"))),
        (False, policy(ALL, statement("Deny"))),
    ],
)
def test_the_boundary_takes_away_and_never_gives(
    expected: bool, boundary: dict[str, Any] | None
) -> None:
    with_policy = Role(arn="arn", trust={}, policies=(policy(statement()),), boundary=boundary)
    without = Role(arn="arn", trust={}, policies=(), boundary=boundary)

    assert with_policy.may(READ) is expected
    assert not without.may(READ)
