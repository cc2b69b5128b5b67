"""A client that makes, changes, asks and removes things of its own, and notes every answer."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import time
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.life import IMAGE, Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.ledger import Ledger, Thing

BUCKET: Final = "chaos"

HANDLERS: Final = {
    "echo": "def predict(data, model):\n    return 'echo:' + data\n",
    "slow": (
        "import time\ndef predict(data, model):\n    time.sleep(0.3)\n    return 'slow:' + data\n"
    ),
    "crash": (
        "import os\n"
        "def predict(data, model):\n"
        "    if data == 'crash':\n        os._exit(3)\n"
        "    return 'crash:' + data\n"
    ),
    "broken": "def load_model(model_dir):\n    raise RuntimeError('no weights')\n",
}
"""What the models do, by name."""

_REST_S: Final = (0.02, 0.3)


def archive_of(handler: str) -> bytes:
    """A `model.tar.gz` with this handler."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        content = HANDLERS[handler].encode()
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


class Caller:
    """One client with names of its own: objects, models, configurations and one endpoint."""

    def __init__(self, life: Life, ledger: Ledger, *, name: str, seed: int) -> None:
        self._ledger = ledger
        self._name = name
        self._chance = random.Random(seed)  # noqa: S311  moments, not secrets
        self._s3 = life.client("s3")
        self._sagemaker = life.client("sagemaker")
        self._runtime = life.client("sagemaker-runtime")
        self._numbers = iter(range(10**9))
        self._objects: list[str] = []
        self._configs: list[str] = []

    def run(self, until: float) -> None:
        """Act until a moment on the monotonic clock."""
        acts: dict[Callable[[], None], int] = {
            self.put: 4,
            self.get: 4,
            self.remove_object: 1,
            self.configure: 3,
            self.remove_config: 1,
            self.create: 2,
            self.update: 2,
            self.invoke: 20,
            self.delete: 1,
            self.look: 2,
        }
        while time.monotonic() < until:
            (act,) = self._chance.choices(list(acts), weights=list(acts.values()))
            act()
            time.sleep(self._chance.uniform(*_REST_S))

    def put(self) -> None:
        """A new object, or new content for one that there is."""
        new = f"{self._name}/{next(self._numbers)}"
        key = self._chance.choice([new, *self._objects[-5:]])
        content = self._chance.randbytes(self._chance.choice([10, 10_000, 300_000]))
        digest = hashlib.sha256(content).hexdigest()
        self._ask(
            ("object", key),
            digest,
            lambda: self._s3.put_object(Bucket=BUCKET, Key=key, Body=content),
        )
        if key not in self._objects:
            self._objects.append(key)

    def get(self) -> None:
        """What is read is one of those that it may be."""
        if not self._objects:
            return
        key = self._chance.choice(self._objects)
        allowed = self._ledger.may_be[("object", key)]
        try:
            content = self._s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            found: str | None = hashlib.sha256(content).hexdigest()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                return
            found = None
        except BotoCoreError:
            return
        if found not in allowed:
            self._ledger.note_wrong(f"object {key} was read as {found}, may be {allowed}")

    def remove_object(self) -> None:
        if self._objects:
            key = self._chance.choice(self._objects)
            self._ask(("object", key), None, lambda: self._s3.delete_object(Bucket=BUCKET, Key=key))

    def configure(self) -> None:
        """A Model, and a configuration that runs it."""
        handler = self._chance.choices(list(HANDLERS), weights=[5, 2, 3, 1])[0]
        name = f"{self._name}-{handler}-{next(self._numbers)}"
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{handler}.tar.gz"}
        self._ask(
            ("model", name),
            "made",
            lambda: self._sagemaker.create_model(ModelName=name, PrimaryContainer=container),
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": self._chance.choice([1, 1, 2]),
        }
        if self._chance.random() < 0.4:
            del variant["InstanceType"], variant["InitialInstanceCount"]
            variant["ServerlessConfig"] = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
        is_made = self._ask(
            ("config", name),
            name,
            lambda: self._sagemaker.create_endpoint_config(
                EndpointConfigName=name, ProductionVariants=[variant]
            ),
        )
        if is_made:
            self._configs.append(name)

    def remove_config(self) -> None:
        """Together with its Model; what runs it goes on."""
        if len(self._configs) > 2:
            name = self._configs.pop(0)
            self._ask(
                ("config", name),
                None,
                lambda: self._sagemaker.delete_endpoint_config(EndpointConfigName=name),
            )
            self._ask(("model", name), None, lambda: self._sagemaker.delete_model(ModelName=name))

    def create(self) -> None:
        if self._configs:
            config = self._chance.choice(self._configs)
            self._ask(
                ("endpoint", self._name),
                config,
                lambda: self._sagemaker.create_endpoint(
                    EndpointName=self._name, EndpointConfigName=config
                ),
            )

    def update(self) -> None:
        """It may end in the old configuration: the new one may not come up."""
        if not self._configs:
            return
        config, thing = self._chance.choice(self._configs), ("endpoint", self._name)
        before = self._ledger.may_be.get(thing, {None})
        is_done = self._ask(
            thing,
            config,
            lambda: self._sagemaker.update_endpoint(
                EndpointName=self._name, EndpointConfigName=config
            ),
        )
        if is_done:
            self._ledger.is_now(thing, config, *(before - {None}))

    def delete(self) -> None:
        self._ask(
            ("endpoint", self._name),
            None,
            lambda: self._sagemaker.delete_endpoint(EndpointName=self._name),
        )

    def invoke(self) -> None:
        """Whatever is answered well is the answer to what was asked."""
        text = self._chance.choice(["crash", f"{next(self._numbers)}", f"{next(self._numbers)}"])
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=self._name, ContentType="application/json", Body=f'"{text}"'
            )["Body"].read()
        except ClientError as error:
            self._ledger.count(f"invocation: {error.response['Error']['Code']}")
        except BotoCoreError as error:
            self._ledger.count(f"invocation: {type(error).__name__}")
        else:
            self._ledger.count("invocation: answered")
            expected = {f"{handler}:{text}" for handler in HANDLERS}
            if answer.decode().strip().strip('"') not in expected:
                self._ledger.note_wrong(f"{self._name} answered {answer!r} to {text}")

    def look(self) -> None:
        """Lists and descriptions never fail with a fault of the local SageMaker's own."""
        try:
            self._sagemaker.list_endpoints()
            self._sagemaker.describe_endpoint(EndpointName=self._name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InternalFailure":
                self._ledger.note_wrong(f"a look was answered by {error}")
        except BotoCoreError:
            pass

    def _ask(self, thing: Thing, value: str | None, act: Callable[[], Any]) -> bool:
        """Whether it was answered well."""
        before = self._ledger.will_be(thing, value)
        try:
            act()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                self._ledger.was_cut()
            else:
                self._ledger.was_refused(thing, before)
            return False
        except BotoCoreError:
            self._ledger.was_cut()
            return False
        self._ledger.is_now(thing, value)
        return True
