"""`python -m tests.chaos`: minutes of everything at once, and nothing acknowledged may be lost.

    1. start     a local SageMaker of its own on a small disk; a bucket with four models in it
    2. trouble   callers create, update, invoke and delete (`caller`), while instances, the object
                 store and the gateway are killed and the disk fills (`fault`)
    3. rest      no more trouble; every endpoint comes to rest
    4. judge     all that was acknowledged is there, and nothing else (`ledger`)
    5. stop      SIGTERM: exit code 0, no process left, the port free

It ends by itself. The exit code is 1 with the reasons if anything was wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import socket
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.caller import BUCKET, HANDLERS, Caller, archive_of
from tests.chaos.fault import Troublemaker, mount_small_disk, unmount
from tests.chaos.ledger import Ledger, Thing
from tests.chaos.life import Life

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALLERS: Final = 4
_REST_S: Final = 180


def main() -> int:
    """Run, tell what was counted and what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=600, help="of trouble [600]")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run [by chance]")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    with small_disk() as (folder, is_small):
        ledger, faults = run(folder, is_small=is_small, seconds=options.seconds, seed=seed)
    disk = "a small disk" if is_small else "no disk of its own, so none that fills"
    sys.stdout.write(f"{options.seconds:.0f} s, seed {seed}, {disk}\n")
    for what, count in sorted(ledger.counts.items()):
        sys.stdout.write(f"{count:8d}  {what}\n")
    for fault in faults:
        sys.stderr.write(f"chaos: {fault}\n")
    return 1 if faults else 0


@contextmanager
def small_disk() -> Iterator[tuple[Path, bool]]:
    """A folder on a disk of its own where the machine allows it, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        is_small = mount_small_disk(folder)
        try:
            yield folder, is_small
        finally:
            if is_small:
                unmount(folder)


def run(folder: Path, *, is_small: bool, seconds: float, seed: int) -> tuple[Ledger, list[str]]:
    """All five steps; what was counted, and what was wrong."""
    ledger, life = Ledger(), Life(folder / "data", free_port())
    life.start()
    try:
        prepare(life, ledger)
        make_trouble(life, ledger, disk=folder if is_small else None, seconds=seconds, seed=seed)
        faults = at_rest(life)
        faults += ledger.judge(found(life))
    except BaseException:
        life.kill()
        raise
    faults += stopped(life)
    ledger.counts["starts"] = life.starts
    return ledger, faults


def prepare(life: Life, ledger: Ledger) -> None:
    """The bucket and the models that all endpoints run."""
    s3 = life.client("s3")
    _patiently(lambda: s3.create_bucket(Bucket=BUCKET))
    for handler in HANDLERS:
        content = archive_of(handler)
        s3.put_object(Bucket=BUCKET, Key=f"{handler}.tar.gz", Body=content)
        ledger.is_now(("object", f"{handler}.tar.gz"), hashlib.sha256(content).hexdigest())


def make_trouble(
    life: Life, ledger: Ledger, *, disk: Path | None, seconds: float, seed: int
) -> None:
    """Callers and faults side by side, until the time is over."""
    until = time.monotonic() + seconds
    callers = [
        Caller(life, ledger, name=f"c{number}", seed=seed + number) for number in range(_CALLERS)
    ]
    troublemaker = Troublemaker(life, ledger, disk=disk, seed=seed - 1)
    broken: list[BaseException] = []

    def guarded(target: Any) -> None:
        try:
            target.run(until)
        except BaseException as error:  # noqa: BLE001  told below
            broken.append(error)

    threads = [threading.Thread(target=guarded, args=(each,)) for each in (*callers, troublemaker)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]


def at_rest(life: Life) -> list[str]:
    """Wait until nothing is being done; the endpoints that do not come to rest."""
    sagemaker, s3 = life.client("sagemaker"), life.client("s3")
    _patiently(s3.list_buckets)
    deadline = time.monotonic() + _REST_S
    while True:
        endpoints = _patiently(sagemaker.list_endpoints)["Endpoints"]
        moving = [
            each for each in endpoints if each["EndpointStatus"] not in {"InService", "Failed"}
        ]
        if not moving:
            return []
        if time.monotonic() > deadline:
            return [f"{each['EndpointName']} stays {each['EndpointStatus']}" for each in moving]
        time.sleep(0.5)


def found(life: Life) -> dict[Thing, str]:
    """All that there is, as the ledger names it."""
    s3, sagemaker = life.client("s3"), life.client("sagemaker")
    there: dict[Thing, str] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            content = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
            there["object", entry["Key"]] = hashlib.sha256(content).hexdigest()
    for page in sagemaker.get_paginator("list_models").paginate():
        there |= {("model", each["ModelName"]): "made" for each in page["Models"]}
    for page in sagemaker.get_paginator("list_endpoint_configs").paginate():
        for each in page["EndpointConfigs"]:
            there["config", each["EndpointConfigName"]] = each["EndpointConfigName"]
    for page in sagemaker.get_paginator("list_endpoints").paginate():
        for each in page["Endpoints"]:
            name = each["EndpointName"]
            described = sagemaker.describe_endpoint(EndpointName=name)
            there["endpoint", name] = described["EndpointConfigName"]
    return there


def stopped(life: Life) -> list[str]:
    """SIGTERM; what is left that should not be."""
    code = life.stop()
    faults = [] if code == 0 else [f"the local SageMaker exited with {code}"]
    faults += [f"process {each.pid} is left: {each.cmdline()}" for each in life.descendants()]
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", life.port)) == 0:
            faults.append(f"port {life.port} is still answered")
    return faults


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _patiently(act: Any) -> Any:
    """Once more, for as long as the object store starts."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return act()
        except (ClientError, BotoCoreError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
