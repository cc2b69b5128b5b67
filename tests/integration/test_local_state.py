"""Endpoints of the local SageMaker with real instances: processes, ports, signals, files."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from portside.local.instance.instance import HealthCheck
from portside.local.protocol.fault import Fault
from tests.integration.local_life import (
    GREETER,
    LocalSageMaker,
    children,
    running,
    until,
    until_ended,
)


async def test_an_endpoint_lives_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        assert await local.status() == "Creating"

        described = await local.at_rest()
        assert described["EndpointStatus"] == "InService", await local.log_text()
        assert await local.invoke("x") == "hello"
        assert "loading from" in await local.log_text()

        await local.call("DeleteEndpoint", EndpointName="ner")
        assert await local.status() == "Deleting"
        await local.gone()

        assert children() == []
        assert list((tmp_path / "instances").iterdir()) == []
        assert [path for path in (tmp_path / "models").iterdir() if path.name != "empty"] == []
        assert "loading from" in await local.log_text()  # logs outlive their endpoint


async def test_a_killed_instance_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        await local.at_rest()
        pid = int(await local.invoke("pid"))

        os.kill(pid, signal.SIGKILL)

        async def answers() -> bool:
            seen.add(await _answer_or_code(local))
            return "hello" in seen

        seen: set[str] = set()
        await until(answers)
        assert seen <= {"hello", "ServiceUnavailable", "ModelError"}
        assert int(await local.invoke("pid")) != pid
        assert await local.status() == "InService"


async def test_an_instance_that_hangs_is_replaced(tmp_path: Path) -> None:
    check = HealthCheck(period_s=0.1, failures=1)
    async with running(tmp_path, health_check=check) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        await local.at_rest()
        pid = int(await local.invoke("pid"))

        os.kill(pid, signal.SIGSTOP)
        await until_ended(psutil.Process(pid))

        async def answers() -> bool:
            return await _answer_or_code(local) == "hello"

        await until(answers)
        assert int(await local.invoke("pid")) != pid


async def _answer_or_code(local: LocalSageMaker) -> str:
    try:
        return await local.invoke("x")
    except Fault as fault:
        return fault.code


async def test_a_handler_that_cannot_load_fails_the_endpoint_and_its_log_says_why(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as local:
        code = """
        def load_model(model_dir):
            raise RuntimeError("no such weights")

        def predict(data, model):
            return data
        """
        await local.create(local.put("model.tar.gz", code))

        described = await local.at_rest()

        assert described["EndpointStatus"] == "Failed"
        assert described["FailureReason"] == (
            "The primary container for production variant AllTraffic did not pass the ping health"
            " check. Please check CloudWatch logs for this endpoint."
        )
        log = await local.log_text()
        assert "Traceback" in log
        assert "RuntimeError: no such weights" in log
        assert children() == []


async def test_what_the_model_refuses_reaches_the_caller_as_a_model_error(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        await local.at_rest()

        with pytest.raises(Fault) as caught:
            await local.invoke("bad")

        assert (caught.value.code, caught.value.status) == ("ModelError", 424)
        assert caught.value.fields["OriginalStatusCode"] == 500
        assert str(caught.value.message).startswith(
            'Received server error (500) from primary with message "'
        )
        assert "ValueError: bad data" in await local.log_text()


async def test_endpoints_come_back_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        await local.at_rest()
        (tmp_path / "objects" / "bucket" / "model.tar.gz").unlink()  # what runs, keeps

    assert children() == []

    async with running(tmp_path) as local:
        assert await local.status() == "SystemUpdating"
        await local.at_rest()
        assert await local.invoke("x") == "hello"


async def test_an_update_moves_the_traffic_and_fails_no_request(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("old.tar.gz", GREETER.format(greeting="old")))
        await local.at_rest()
        await local.configure(
            local.put("new.tar.gz", GREETER.format(greeting="new")), config="two", instance_count=2
        )
        answers: list[str] = []
        slow = asyncio.create_task(local.invoke("slow"))

        await local.call("UpdateEndpoint", EndpointName="ner", EndpointConfigName="two")
        while await local.status() == "Updating":
            answers.append(await local.invoke("x"))

        assert await slow == "old"
        assert await local.invoke("x") == "new"
        assert set(answers) <= {"old", "new"}
        assert answers == sorted(answers, key="old new".index)  # never back again
        described = await local.call("DescribeEndpoint", EndpointName="ner")
        assert described["EndpointConfigName"] == "two"
        assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        assert len(children()) == 2


async def test_an_update_that_fails_keeps_the_old_deployment(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("old.tar.gz", GREETER.format(greeting="old")))
        await local.at_rest()
        await local.configure(local.put("new.tar.gz", "raise SystemExit(3)"), config="two")

        await local.call("UpdateEndpoint", EndpointName="ner", EndpointConfigName="two")
        described = await local.at_rest()

        assert described["EndpointStatus"] == "InService"
        assert described["EndpointConfigName"] == "one"
        assert "did not pass the ping health check" in described["FailureReason"]
        assert await local.invoke("x") == "old"
        assert len(children()) == 1


FORKER = """
import os
import subprocess

child = subprocess.Popen(["sleep", "600"])

def load_model(model_dir):
    return None

def predict(data, model):
    return f"{os.getpid()} {child.pid}"
"""


async def test_what_an_instance_started_ends_with_it(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", FORKER))
        await local.at_rest()
        grandchild = psutil.Process(int((await local.invoke("x")).split()[1]))

        await local.call("DeleteEndpoint", EndpointName="ner")
        await local.gone()

        await until_ended(grandchild)


GATEWAY = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_local_state import FORKER, running

async def main():
    async with running(Path({folder!r})) as local:
        await local.create(local.put("model.tar.gz", FORKER))
        await local.at_rest()
        print(await local.invoke("x"), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are ended at the next start")
async def test_instances_die_with_the_local_sagemaker_and_endpoints_come_back(
    tmp_path: Path,
) -> None:
    script = GATEWAY.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert gateway.stdout is not None
    instance, grandchild = map(psutil.Process, map(int, (await gateway.stdout.readline()).split()))

    gateway.kill()
    await gateway.wait()

    await until_ended(instance)  # at once; what it has started, at the next start
    async with running(tmp_path) as local:
        await until_ended(grandchild)
        assert await local.status() == "SystemUpdating"
        await local.at_rest()
        assert await local.invoke("x") != f"{instance.pid} {grandchild.pid}"
