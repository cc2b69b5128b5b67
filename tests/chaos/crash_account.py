"""All that is in an account, counted, in the words of a plan; asked with boto3 alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from tests.chaos.life import Life

Things: TypeAlias = Counter[tuple[str, str]]
"""How often there is a thing: its kind and its name. Twice is a version too many."""

_SERVICES: Final = ("s3", "iam", "sagemaker", "ecr", "application-autoscaling", "cloudwatch")


class Account:
    """A local SageMaker, looked at from outside."""

    def __init__(self, life: Life) -> None:
        self._clients = {name: life.client(name, tries=5) for name in _SERVICES}
        self.runtime = life.client("sagemaker-runtime", tries=5)

    def client(self, service: str) -> Any:
        """A client of boto3."""
        return self._clients[service]

    def things(self) -> Things:
        """Everything but the journal and the lock."""
        found = (self._sagemaker(), self._iam(), self._scaling(), self._ecr(), self._s3())
        return Counter(thing for some in found for thing in some)

    def config_of(self, endpoint: str) -> str:
        """What an endpoint runs."""
        found = self._clients["sagemaker"].describe_endpoint(EndpointName=endpoint)
        return f"{found['EndpointStatus']} {found['EndpointConfigName']}"

    def policy_of(self, endpoint: str) -> str:
        """What an endpoint's role allows, as JSON."""
        (role,) = self._clients["iam"].list_roles()["Roles"]
        assert role["RoleName"].endswith(f"-{endpoint}")
        (name,) = self._clients["iam"].list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        found = self._clients["iam"].get_role_policy(RoleName=role["RoleName"], PolicyName=name)
        return json.dumps(found["PolicyDocument"])

    def answer_of(self, endpoint: str) -> str:
        """What an endpoint says."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=endpoint, Body=b'["a"]', ContentType="application/json"
        )
        return str(answer["Body"].read().decode())

    def _pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        pages = self._clients[service].get_paginator(operation).paginate(**parameters)
        for page in pages:
            yield from page.get(key, [])

    def _sagemaker(self) -> Iterator[tuple[str, str]]:
        for kind in ("Endpoint", "EndpointConfig", "Model"):
            operation = {
                "Endpoint": "list_endpoints",
                "EndpointConfig": "list_endpoint_configs",
                "Model": "list_models",
            }[kind]
            for one in self._pages("sagemaker", operation, f"{kind}s"):
                yield kind, one[f"{kind}Name"]

    def _iam(self) -> Iterator[tuple[str, str]]:
        for role in self._pages("iam", "list_roles", "Roles"):
            yield "role", role["RoleName"]
            if not self._clients["iam"].list_role_policies(RoleName=role["RoleName"])[
                "PolicyNames"
            ]:
                yield "role without its policy", role["RoleName"]

    def _scaling(self) -> Iterator[tuple[str, str]]:
        """AWS drops a target's policies with it (API Reference, DeregisterScalableTarget); the
        local AWS, whose auto scaling is moto's, keeps them, so they are no leftovers of ours."""
        client, space = "application-autoscaling", {"ServiceNamespace": "sagemaker"}
        targets = [
            target["ResourceId"]
            for target in self._pages(
                client, "describe_scalable_targets", "ScalableTargets", **space
            )
        ]
        for resource_id in targets:
            yield "scalable target", resource_id
        for policy in self._pages(client, "describe_scaling_policies", "ScalingPolicies", **space):
            if policy["ResourceId"] in targets:
                yield "scaling policy", policy["PolicyName"]

    def _ecr(self) -> Iterator[tuple[str, str]]:
        for repository in self._pages("ecr", "describe_repositories", "repositories"):
            name = repository["repositoryName"]
            yield "repository", name
            for image in self._pages("ecr", "describe_images", "imageDetails", repositoryName=name):
                yield "image", f"{repository['repositoryUri']}@{image['imageDigest']}"

    def _s3(self) -> Iterator[tuple[str, str]]:
        client = self._clients["s3"]
        for bucket in (found["Name"] for found in client.list_buckets()["Buckets"]):
            yield "bucket", bucket
            yield from _kept(
                bucket, self._pages("s3", "list_object_versions", "Versions", Bucket=bucket)
            )
            for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                yield "unfinished upload", upload["Key"]


def _kept(bucket: str, versions: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for version in versions:
        key = version["Key"]
        if key.split("/")[1] not in {"journal", "lock"}:
            yield "model artifact", f"s3://{bucket}/{key}"
