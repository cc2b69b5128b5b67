from __future__ import annotations

from pathlib import Path

import pytest

from portside.errors import BuildError
from portside.image.oci import Config, Execution
from portside.local.instance.image import platform_check, process_plan
from portside.local.instance.image.process_plan import Folders
from portside.local.instance.image.root_entry import Plan
from portside.local.instance.instance import InstanceSpec
from tests.unit.local.image_fakes import HERE, THERE, config

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nodd:x:1:x::/:\n"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "root" / "etc" / "group").write_text("users:x:50:app\n")
    return Folders(root=tmp_path / "root", instance=tmp_path / "i", temp=tmp_path / "t")


def planned(folders: Folders, image: Config, *, is_confined: bool = False) -> Plan:
    spec = InstanceSpec(
        instance_id="i-1",
        image="image",
        environment={"MODEL": "1", "BOTH": "model", "SAGEMAKER_BIND_TO_PORT": "9"},
        model_dir=Path("/models/1"),
        region="us-east-1",
        log_group="group",
        log_stream="stream",
        is_confined=is_confined,
    )
    return process_plan.plan(spec, image, folders=folders, port=4000, mark={"MARK": "/i"})


def image(**execution: object) -> Config:
    return config(execution=Execution(**execution))  # type: ignore[arg-type]  # its fields


def test_it_is_started_as_sagemaker_starts_it(folders: Folders) -> None:
    plan = planned(folders, image(entrypoint=("python", "-m", "app"), cmd=("x",), working_dir="/w"))

    assert plan.command == ["python", "-m", "app", "serve"]
    assert plan.working_dir == "/w"
    assert (plan.model_dir, plan.model_place) == ("/models/1", "/opt/ml/model")
    assert (plan.user_id, plan.group_id) == (0, 0)


def test_the_model_s_variables_stand_over_the_image_s_and_the_port_over_all(
    folders: Folders,
) -> None:
    plan = planned(folders, image(env=("PATH=/own", "BOTH=image", "EMPTY=", "EQUALS=a=b")))

    assert plan.environment == {
        "PATH": "/own",
        "HOME": "/root",
        "BOTH": "model",
        "EMPTY": "",
        "EQUALS": "a=b",
        "AWS_REGION": "us-east-1",
        "MODEL": "1",
        "SAGEMAKER_BIND_TO_PORT": "4000",
        "PORTSIDE_BIND_HOST": "127.0.0.1",
        "MARK": "/i",
    }


def test_an_image_without_settings_is_asked_for_a_program_named_serve(folders: Folders) -> None:
    plan = planned(folders, image())

    assert plan.command == ["serve"]
    assert plan.environment["PATH"].endswith("/usr/bin:/sbin:/bin")
    assert plan.working_dir == "/"


@pytest.mark.parametrize(
    ("user", "ids", "home"),
    [
        ("", (0, 0), "/root"),
        ("app", (1000, 1001), "/home/app"),
        ("1000", (1000, 1001), "/home/app"),
        ("app:users", (1000, 50), "/home/app"),
        ("7:8", (7, 8), "/"),
        ("7", (7, 0), "/"),
    ],
)
def test_it_runs_as_the_image_s_user(
    folders: Folders, user: str, ids: tuple[int, int], home: str
) -> None:
    plan = planned(folders, image(user=user))

    assert (plan.user_id, plan.group_id) == ids
    assert plan.environment["HOME"] == home


@pytest.mark.parametrize("user", ["nobody", "app:nobody", "odd"])
def test_a_user_that_the_image_does_not_know(folders: Folders, user: str) -> None:
    with pytest.raises(BuildError):
        planned(folders, image(user=user))


def test_on_serverless_it_is_whom_serverless_takes_and_writes_nothing(folders: Folders) -> None:
    plan = planned(folders, image(user="app"), is_confined=True)

    assert (plan.user_id, plan.group_id) == (993, 990)
    assert plan.environment["USER"] == "sbx_user1051"
    assert plan.upper is None


def test_what_keeps_an_image_from_being_a_process() -> None:
    assert process_plan.obstacle(config()) is None
    assert "it listens on port 8080" in (process_plan.obstacle(config(takes_port=False)) or "")
    assert f"it is for linux/{THERE}" in (process_plan.obstacle(config(THERE)) or "")
    assert process_plan.obstacle(image()) is not None


@pytest.mark.parametrize(
    ("instance_type", "architecture"),
    [
        (None, "amd64"),
        ("ml.m5.large", "amd64"),
        ("ml.g4dn.xlarge", "amd64"),
        ("ml.g5.2xlarge", "amd64"),
        ("ml.p4d.24xlarge", "amd64"),
        ("ml.m6g.large", "arm64"),
        ("ml.c6gn.large", "arm64"),
        ("ml.c7g.xlarge", "arm64"),
        ("ml.r6gd.16xlarge", "arm64"),
        ("ml.g7e.2xlarge", "amd64"),
        ("ml.p6-b200.48xlarge", "amd64"),
        ("ml.p6e-gb200.36xlarge", "arm64"),
    ],
)
def test_what_instance_types_run(instance_type: str | None, architecture: str) -> None:
    other = "arm64" if architecture == "amd64" else "amd64"

    assert platform_check.complaint(config(architecture), instance_type=instance_type) is None
    complaint = platform_check.complaint(config(other), instance_type=instance_type)
    assert f"is for linux/{other}" in (complaint or "")
    assert f"`portside build --platform linux/{architecture}`" in (complaint or "")


def test_this_machine_is_named_as_images_name_theirs() -> None:
    assert platform_check.of_machine() == f"linux/{HERE}"
