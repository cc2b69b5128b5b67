"""`kill -9` while clients write: whatever was answered is there after the next start."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.exceptions
from botocore.config import Config

from tests.e2e.conftest import Portside

ROUNDS = 5
ONCE = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})


@dataclass
class Answered:
    """What was acknowledged, by kind."""

    objects: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)


def test_what_was_answered_survives_a_kill_at_any_moment(portside: Portside) -> None:
    chance = random.Random(7)  # noqa: S311  moments, not secrets
    answered = Answered()
    numbers = itertools.count()
    for _ in range(ROUNDS):
        portside("local", "start", "--iam", "off")
        pid = portside("local", "status", "--json").json["pid"]
        clients = connect(portside)
        clients["s3"].create_bucket(Bucket="kept")
        writer = threading.Thread(target=write_until_cut, args=(clients, answered, numbers))
        writer.start()
        time.sleep(chance.uniform(0.2, 1.5))
        os.kill(pid, signal.SIGKILL)
        writer.join(timeout=30)
        assert not writer.is_alive()

    portside("local", "start")
    clients = connect(portside)
    pages = clients["s3"].get_paginator("list_objects_v2").paginate(Bucket="kept")
    objects = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    pages = clients["sagemaker"].get_paginator("list_models").paginate()
    models = {model["ModelName"] for page in pages for model in page["Models"]}
    pages = clients["iam"].get_paginator("list_roles").paginate()
    roles = {role["RoleName"] for page in pages for role in page["Roles"]}

    assert min(len(answered.objects), len(answered.models), len(answered.roles)) > ROUNDS
    assert set(answered.objects) - objects == set()
    assert set(answered.models) - models == set()
    assert set(answered.roles) - roles == set()
    for name in answered.objects:
        assert clients["s3"].get_object(Bucket="kept", Key=name)["Body"].read() == name.encode()


def connect(portside: Portside) -> dict[str, Any]:
    variables = portside.client_environment()
    session = boto3.session.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    url = variables["AWS_ENDPOINT_URL"]
    return {
        name: session.client(name, endpoint_url=url, config=ONCE)
        for name in ("s3", "sagemaker", "iam")
    } | {"image": variables["PORTSIDE_RUNTIME_IMAGE"]}


def write_until_cut(
    clients: dict[str, Any], answered: Answered, numbers: itertools.count[int]
) -> None:
    """Make one thing after another, and note each as soon as it is answered."""
    try:
        for number in numbers:
            name = f"n{number}"
            clients["s3"].put_object(Bucket="kept", Key=name, Body=name.encode())
            answered.objects.append(name)
            clients["sagemaker"].create_model(
                ModelName=name,
                PrimaryContainer={
                    "Image": clients["image"],
                    "ModelDataUrl": f"s3://kept/{name}",
                },
                ExecutionRoleArn="arn:aws:iam::000000000000:role/any",
            )
            answered.models.append(name)
            clients["iam"].create_role(RoleName=name, AssumeRolePolicyDocument="{}")
            answered.roles.append(name)
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
        return
