"""Commands that are killed at some of their API calls, in all scenarios of `make crash`.

Which calls: spread over the command, other ones in each scenario; all of them take half an hour.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from portside.aws.permission import PERMISSIONS, Purpose
from tests.chaos.crash import PROJECT, SCENARIOS, Scenario, World, crash, new_world

KILLED_AT = {
    "deploy, deploy": (31,),
    "deploy, destroy": (25,),
    "update, deploy": (44,),  # the role is widened, and not narrowed again
    "update, destroy": (52,),
    "rollback, rollback": (38,),
    "destroy, destroy": (33,),
    "destroy, deploy": (27,),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("crash")) as made:
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_who_is_killed_is_run_again_and_all_is_well(world: World, scenario: Scenario) -> None:
    world.run("destroy", "--bucket")
    for number in KILLED_AT[scenario.name]:
        call, fault = crash(world, scenario, number)

        assert not fault, f"killed at call {number} ({call}): {fault}"
        assert call, f"there were not even {number} calls"


def test_what_is_left_over_is_found(world: World) -> None:
    """The judge works: with one thing too many it does not go on."""
    scenario = next(one for one in SCENARIOS if one.name == "deploy, destroy")
    iam = world.account.client("iam")
    iam.create_role(RoleName="left", AssumeRolePolicyDocument="{}")
    try:
        with pytest.raises(SystemExit, match=r"this stays: .*'left'"):
            crash(world, scenario, 30)
    finally:
        iam.delete_role(RoleName="left")


def test_parts_of_an_upload_that_was_cut_are_removed(world: World) -> None:
    """Nobody sees them in a bucket, and they cost as objects do."""
    world.do("deploy")
    s3 = world.account.client("s3")
    (bucket,) = (found["Name"] for found in s3.list_buckets()["Buckets"])
    place = {"Bucket": bucket, "Key": f"{PROJECT}/artifacts/cut/model.tar.gz"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"half")
    assert world.account.things()["unfinished upload", place["Key"]] == 1

    removed = world.do("destroy")

    assert f"s3://{bucket}/{place['Key']}" in [step["name"] for step in removed]
    assert set(world.account.things()) == {("bucket", bucket)}
    world.do("destroy", "--bucket")


def test_no_command_makes_a_call_that_its_policy_lacks(world: World) -> None:
    """What `docs/reference/aws-calls.md` says is what is sent."""
    for purpose, *arguments in (
        (Purpose.PLAN, "plan"),
        (Purpose.DEPLOY, "deploy"),
        (Purpose.PLAN, "plan"),
        (Purpose.PLAN, "status"),
        (Purpose.PLAN, "rollback", "--list"),
        (Purpose.DESTROY, "destroy", "--bucket"),
    ):
        done = world.run(*arguments)

        allowed = {one.operation for one in PERMISSIONS if purpose in one.purposes}
        assert done.code == 0, done.err
        assert done.calls
        assert set(done.calls) - allowed == set(), arguments
