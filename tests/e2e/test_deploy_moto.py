"""The life of endpoints on moto's server: the commands as on AWS, judged by what others wrote.

`AWS_ENDPOINT_URL` is all that differs. moto keeps records and runs nothing; what it lacks stands
here by name, and a version that has it ends these tests:

- UpdateEndpoint: 500. So a second version is made, but no endpoint moves to it, nor back.
- SimulatePrincipalPolicy: 500. So a role of the user's own cannot be looked through.
- InvokeEndpoint: every endpoint, deployed or not, says `body`.
- DeregisterScalableTarget leaves the target's policies, which AWS removes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from tests.e2e.conftest import Done, Portside, new_portside
from tests.integration.image_parts import debian

ACCOUNT = "123456789012"
BUCKET = f"portside-{ACCOUNT}-us-east-1"
ONCE = Config(retries={"total_max_attempts": 1})
SETTINGS = """
name = "judged"

[image]
base = "{base}"

[endpoints.quiet]
kind = "serverless"

[endpoints.steady]
kind = "realtime"
ttl = "8h"
[endpoints.steady.scaling]
max_instances = 2
target = 100
[endpoints.steady.capture]

[endpoints.later]
kind = "async"
success_topic = "arn:aws:sns:us-east-1:{account}:done"
error_topic = "arn:aws:sns:us-east-1:{account}:failed"
[endpoints.later.scaling]
max_instances = 2
"""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """moto's server with a stranger's things in it, a project, and the command line."""

    portside: Portside
    project: Path
    boto: boto3.session.Session
    url: str

    def client(self, service: str) -> Any:
        return self.boto.client(service, endpoint_url=self.url, config=ONCE)

    def __call__(self, command: str, *arguments: str | Path) -> Done:
        return self.portside(command, *arguments, "--target", "aws")

    def fails(self, command: str, *arguments: str | Path) -> str:
        done = self.portside.run(command, *arguments, "--target", "aws")
        assert done.code == 1, done.err
        return done.err

    def there(self) -> dict[str, list[str]]:
        """All names in the account, by kind."""
        sagemaker, scaling = self.client("sagemaker"), self.client("application-autoscaling")
        targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")
        policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")
        alarms = self.client("cloudwatch").describe_alarms()["MetricAlarms"]
        listed = {
            "Endpoint": (sagemaker.list_endpoints()["Endpoints"], "EndpointName"),
            "config": (sagemaker.list_endpoint_configs()["EndpointConfigs"], "EndpointConfigName"),
            "Model": (sagemaker.list_models()["Models"], "ModelName"),
            "role": (self.client("iam").list_roles()["Roles"], "RoleName"),
            "repository": (
                self.client("ecr").describe_repositories()["repositories"],
                "repositoryName",
            ),
            "bucket": (self.client("s3").list_buckets()["Buckets"], "Name"),
            "target": (targets["ScalableTargets"], "ResourceId"),
            "policy": (policies["ScalingPolicies"], "PolicyName"),
            # moto makes those of target tracking itself, as AWS does.
            "alarm": (
                [one for one in alarms if not one["AlarmName"].startswith("TargetTracking-")],
                "AlarmName",
            ),
        }
        return {kind: sorted(one[name] for one in found) for kind, (found, name) in listed.items()}

    def tags(self) -> dict[str, dict[str, str]]:
        """Of all that can have some, but of strangers."""
        sagemaker, ecr, iam = (self.client(name) for name in ("sagemaker", "ecr", "iam"))
        made = [
            *(one["EndpointArn"] for one in sagemaker.list_endpoints()["Endpoints"]),
            *(one["ModelArn"] for one in sagemaker.list_models()["Models"]),
            *(
                one["EndpointConfigArn"]
                for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]
            ),
        ]
        listed = {arn: sagemaker.list_tags(ResourceArn=arn)["Tags"] for arn in made}
        for role in iam.list_roles()["Roles"]:
            listed[role["RoleName"]] = iam.list_role_tags(RoleName=role["RoleName"])["Tags"]
        for one in ecr.describe_repositories()["repositories"]:
            arn = one["repositoryArn"]
            listed[arn] = ecr.list_tags_for_resource(resourceArn=arn)["tags"]
        return {
            name: {tag["Key"]: tag["Value"] for tag in tags}
            for name, tags in listed.items()
            if tags
        }


STRANGERS = {
    "Endpoint": ["judged-quiet-too"],
    "config": ["judged-quiet-too"],
    "Model": ["judged-quiet-too"],
    "role": ["theirs"],
    "repository": ["portside/theirs"],
    "bucket": ["theirs"],
    "target": [],
    "policy": [],
    "alarm": [],
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    folder = tmp_path_factory.mktemp("moto")
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        command = new_portside(folder / "local")
        project = folder / "judged"
        command("init", project)
        base = debian("amd64")
        (project / "portside.toml").write_text(SETTINGS.format(base=base, account=ACCOUNT))
        variables = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any-secret",
            "HOME": str(folder),
        }
        kept = {"UV_CACHE_DIR": str(Path.home() / ".cache" / "uv")} | command.environment
        made = Judge(
            portside=replace(command, environment=kept | variables),
            project=project,
            boto=boto3.session.Session(
                aws_access_key_id="any",
                aws_secret_access_key="any-secret",
                region_name="us-east-1",
            ),
            url=variables["AWS_ENDPOINT_URL"],
        )
        let_strangers_in(made)
        yield made
    finally:
        server.stop()


def let_strangers_in(judge: Judge) -> None:
    """Things that Portside did not make, under names as near to its own as can be."""
    sagemaker = judge.client("sagemaker")
    role = judge.client("iam").create_role(RoleName="theirs", AssumeRolePolicyDocument="{}")
    judge.client("s3").create_bucket(Bucket="theirs")
    judge.client("ecr").create_repository(repositoryName="portside/theirs")
    sagemaker.create_model(
        ModelName="judged-quiet-too",
        ExecutionRoleArn=role["Role"]["Arn"],
        PrimaryContainer={"Image": "i"},
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "judged-quiet-too",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName="judged-quiet-too", ProductionVariants=[variant]
    )
    sagemaker.create_endpoint(
        EndpointName="judged-quiet-too", EndpointConfigName="judged-quiet-too"
    )


@pytest.fixture(scope="module")
def deployed(judge: Judge) -> list[dict[str, Any]]:
    """The first deployment's steps; refused before, because its instances cost."""
    assert judge.there() == STRANGERS
    refused = judge.portside.run("deploy", judge.project, "--target", "aws")
    if "could not fetch the dependencies" in refused.err:
        pytest.skip(f"the package index is out of reach: {refused.err}")
    assert refused.code == 1
    assert "unasked: it costs" in refused.err
    assert "--yes" in refused.err
    assert "`budget`" in refused.err
    assert judge.there() == STRANGERS, "nothing is made before anybody agrees"

    steps: list[dict[str, Any]] = judge("deploy", judge.project, "--yes", "--json").json
    return steps


def test_three_kinds_of_endpoint_are_made(judge: Judge, deployed: list[dict[str, Any]]) -> None:
    there = judge.there()
    sagemaker, s3 = judge.client("sagemaker"), judge.client("s3")

    assert {name: len(found) - len(STRANGERS[name]) for name, found in there.items()} == {
        "Endpoint": 3,
        "config": 3,
        "Model": 3,
        "role": 3,
        "repository": 1,
        "bucket": 1,
        "target": 2,
        "policy": 3,
        "alarm": 1,
    }
    assert {step["kind"] for step in deployed} >= {"bucket", "image", "role", "scaling policy"}
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    for name in ("judged-quiet", "judged-steady", "judged-later"):
        arn = sagemaker.describe_endpoint(EndpointName=name)["EndpointArn"]
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        assert tags["portside:project"] == "judged"
    config = sagemaker.describe_endpoint(EndpointName="judged-later")["EndpointConfigName"]
    queue = sagemaker.describe_endpoint_config(EndpointConfigName=config)["AsyncInferenceConfig"]
    assert queue["OutputConfig"]["NotificationConfig"]["ErrorTopic"].endswith(":failed")


@pytest.mark.usefixtures("deployed")
def test_the_model_runs_the_image_that_was_pushed(judge: Judge) -> None:
    sagemaker, ecr = judge.client("sagemaker"), judge.client("ecr")
    (model,) = (
        one
        for one in judge.there()["Model"]
        if one.startswith("judged-quiet-") and "too" not in one
    )
    image = sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["Image"]
    repository, _, digest = image.partition("/")[2].partition("@")

    (found,) = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])[
        "images"
    ]
    manifest = json.loads(found["imageManifest"])
    blobs = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    layers = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=blobs)

    assert [layer["layerAvailability"] for layer in layers["layers"]] == ["AVAILABLE"] * len(blobs)


@pytest.mark.usefixtures("deployed")
def test_then_there_is_nothing_to_do(judge: Judge) -> None:
    before = judge.there()

    assert judge("plan", judge.project, "--json").json == []
    assert judge("deploy", judge.project, "--json").json == []
    assert judge.there() == before
    assert [one["status"] for one in judge("status", judge.project, "--json").json] == [
        "InService"
    ] * 3
    listed = {one["endpoint"]: one["kind"] for one in judge("ls", "--json").json}
    assert listed == {
        "judged-quiet": "serverless",
        "judged-steady": "realtime",
        "judged-later": "async",
    }
    (entry,) = judge("status", judge.project, "--history", "--json").json
    assert (entry["command"], entry["result"]) == ("portside deploy", "done")


@pytest.mark.usefixtures("deployed")
def test_tags_reach_all_that_was_made_and_leave_those_of_others(judge: Judge) -> None:
    settings = judge.project / "portside.toml"
    first = settings.read_text()
    before = judge.tags()
    sagemaker, iam = judge.client("sagemaker"), judge.client("iam")
    cost = [{"Key": "cost", "Value": "42"}]
    arn = sagemaker.describe_endpoint(EndpointName="judged-quiet")["EndpointArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=cost)
    iam.tag_role(RoleName="portside-us-east-1-judged-quiet", Tags=cost)
    try:
        settings.write_text(first.replace('kind = "', 'tags = { team = "search" }\nkind = "'))
        steps = judge("deploy", judge.project, "--yes", "--json").json
        tagged = judge.tags()
    finally:
        settings.write_text(first)
    judge("deploy", judge.project, "--yes")

    assert {step["verb"] for step in steps} == {"tag"}
    assert len(steps) == len(tagged) == 13, "three endpoints of four things, and a repository"
    assert {tags["team"] for tags in tagged.values()} == {"search"}
    after = judge.tags()
    assert {arn: tags for arn, tags in after.items() if "cost" in tags}.keys() == {
        arn,
        "portside-us-east-1-judged-quiet",
    }
    for tags in after.values():
        tags.pop("cost", None)
    assert after == before


@pytest.mark.usefixtures("deployed")
def test_what_moto_lacks(judge: Judge) -> None:
    """A version of moto that has one of these ends this test: then the others can ask more."""
    sagemaker, runtime = judge.client("sagemaker"), judge.client("sagemaker-runtime")
    with pytest.raises(botocore.exceptions.ClientError) as updated:
        sagemaker.update_endpoint(
            EndpointName="judged-quiet", EndpointConfigName="judged-quiet-too"
        )
    with pytest.raises(botocore.parsers.ResponseParserError, match="500 Internal"):
        judge.client("iam").simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/theirs", ActionNames=["s3:GetObject"]
        )

    assert updated.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert runtime.invoke_endpoint(EndpointName="nobody", Body=b"[]")["Body"].read() == b"body"


@pytest.mark.usefixtures("deployed")
def test_a_second_version_is_made_and_the_update_is_refused(judge: Judge) -> None:
    handler = judge.project / "inference.py"
    first = handler.read_text()
    handler.write_text(first.replace("str.upper", "str.lower"))
    before = judge.there()
    try:
        refused = judge.fails("deploy", judge.project, "--yes")
        left = judge("plan", judge.project, "--json").json
        back = judge.fails(
            "rollback", judge.project, "--endpoint", "judged-quiet", "--to", "judged-quiet-too"
        )
    finally:
        handler.write_text(first)

    assert "`sagemaker:UpdateEndpoint` was refused: HTTP 500" in refused
    assert "<html" not in refused
    assert "steps are done and stay" in refused
    assert len(judge.there()["config"]) == len(before["config"]) + 1
    assert ("update", "judged-quiet") in [(step["verb"], step["name"]) for step in left]
    assert "there is no config `judged-quiet-too` of its own" in back
    assert judge("plan", judge.project, "--json").json == [], "what runs is what is wanted again"


@pytest.mark.usefixtures("deployed")
def test_what_has_outlived_its_ttl_is_removed(judge: Judge) -> None:
    assert judge("reap", "--dry-run", "--json").json == []
    endpoint = get_backend("sagemaker")[ACCOUNT]["us-east-1"].endpoints["judged-steady"]
    endpoint.creation_time -= timedelta(hours=9)

    (late,) = judge("reap", "--yes", "--json").json

    assert late["reason"] == "its ttl of 8 h is over"
    there = judge.there()
    assert there["Endpoint"] == ["judged-later", "judged-quiet", "judged-quiet-too"]
    assert there["target"] == ["endpoint/judged-later/variant/AllTraffic"]
    assert not [
        name for name in there["config"] + there["Model"] if name.startswith("judged-steady")
    ]
    assert "portside-us-east-1-judged-steady" not in there["role"]


@pytest.mark.usefixtures("deployed")
def test_nothing_that_was_made_is_left_and_nothing_else_is_gone(judge: Judge) -> None:
    judge("destroy", judge.project, "--yes", "--bucket")

    there = judge.there()
    there["policy"] = []  # moto keeps those of a target that is gone
    assert there == STRANGERS
    assert judge("destroy", judge.project, "--yes", "--json").json == []
    assert judge("ls", "--json").json == []
