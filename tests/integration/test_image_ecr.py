"""`portside build --push` to ECR: real HTTP, a real process, a registry that can fail.

The answers are those of `FakeEcr`, over a socket; moto, which others wrote, is asked for what it
knows of ECR.
"""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from portside.aws import ecr as operations
from portside.aws.session import Address, Session
from portside.deploy.apply.repository import EcrRepository
from portside.image.oci import MediaType, digest_of
from portside.image.publish import pending, publish
from portside.image.reference import parse
from tests.integration.image_parts import (
    Asked,
    Says,
    ScriptedRegistry,
    portside_build,
)
from tests.unit.deploy.fake_ecr import HOST, REGION, FakeEcr, HungUpError, RefusedError
from tests.unit.image.image_fakes import Workshop

MB = 1_000_000
TARGET = f"{HOST}/team/ner:1"


@contextmanager
def listening(ecr: FakeEcr) -> Iterator[str]:
    """The registry's address, as `AWS_ENDPOINT_URL` takes it."""

    def answer(asked: Asked) -> Says:
        operation = asked.headers["x-amz-target"].rpartition(".")[2]
        try:
            status, body = ecr.answer(operation, json.loads(asked.body))
        except HungUpError:
            return Says(hangs_up=True)
        return Says(status=status, body=json.dumps(body).encode())

    with ScriptedRegistry(answer) as server:
        yield f"http://{server.host}"


def environment(url: str, region: str = REGION) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": region,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


# --- The command ------------------------------------------------------------------


def test_who_may_not_push_is_told_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "inference.py").write_text("def predict(data, model): return data\n")
    ecr = FakeEcr()
    ecr.meets("BatchCheckLayerAvailability", RefusedError("ExpiredTokenException", "It is expired"))
    command = [tmp_path, "--push", TARGET, "--target", "aws"]

    with listening(ecr) as url:
        refused = portside_build(*command, exit_code=1, **environment(url))
        elsewhere = portside_build(*command, exit_code=2, **environment(url, region="us-east-1"))
        nobody = {**environment(url), "HOME": str(tmp_path)}
        nobody |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"), "")
        unknown = portside_build(*command, exit_code=1, **nobody)

    assert "It is expired" in refused.said
    assert "aws sso login" in refused.said
    assert "it is in `eu-west-1`, and the session in `us-east-1`" in elsewhere.said
    assert "aws configure" in unknown.said
    assert len(ecr.calls) == 1
    assert not (tmp_path / ".portside" / "image" / "selectors").exists()


# --- What passes ------------------------------------------------------------------


def test_what_passes_is_repeated_part_by_part(tmp_path: Path) -> None:
    image = Workshop(tmp_path).build()
    ecr = FakeEcr(part_bytes=10_000)
    throttled = RefusedError("ThrottlingException", "Rate exceeded")
    broken = RefusedError("ServerException", "no", status=500)
    ecr.meets("UploadLayerPart", throttled, None, None, "cut", None, None, broken, None, "lost")
    ecr.meets("CompleteLayerUpload", "lost")
    with listening(ecr) as url:
        session = Session(
            Address(
                endpoint_url=url,
                region=REGION,
                access_key_id="AKIAEXAMPLE",
                secret_access_key="secret",
            )
        )
        destination = EcrRepository(
            session=session, target=parse(TARGET), records=tmp_path / "uploads", tags={}
        )
        publish(image, destination, pending(image, destination))

    assert ecr.repositories["team/ner"].layers.keys() == {blob.digest for blob in image.blobs}
    assert len(ecr.asked("InitiateLayerUpload")) == len(image.blobs)
    assert not list((tmp_path / "uploads").glob("*"))


# --- Another's ECR ----------------------------------------------------------------


@pytest.fixture(scope="module")
def moto() -> Iterator[Session]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Session(
        Address(
            endpoint_url=f"http://{host}:{port}",
            region="us-east-1",
            access_key_id="AKIAEXAMPLE",
            secret_access_key="secret",
        )
    )
    server.stop()


def test_moto_knows_the_repositories_and_images_that_are_made(moto: Session) -> None:
    repository = operations.Repository(account="123456789012", name="team/ner")
    assert operations.describe_image(moto, repository, "1") is None

    operations.create_repository(moto, repository, tags={"portside:project": "ner"})
    operations.create_repository(moto, repository, tags={"portside:project": "ner"})

    found = moto.ecr.describe_repositories()["repositories"]
    (made,) = [one for one in found if one["repositoryName"] == repository.name]
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    tags = moto.ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    assert tags == [{"Key": "portside:project", "Value": "ner"}]


def test_moto_takes_an_image_and_knows_it(moto: Session) -> None:
    repository = operations.Repository(account="123456789012", name="given")
    operations.create_repository(moto, repository, tags={})
    blob = {"mediaType": MediaType.DOCKER_CONFIG, "size": 1, "digest": digest_of(b"x")}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MediaType.DOCKER_MANIFEST,
        "config": blob,
        "layers": [],
    }
    data = json.dumps(manifest).encode()
    digest = digest_of(data)

    for _ in range(2):
        operations.put_image(
            moto,
            repository,
            manifest=data,
            media_type=MediaType.DOCKER_MANIFEST,
            digest=digest,
            tag="1",
        )

    found = operations.describe_image(moto, repository, digest)
    assert found is not None
    assert (found.digest, found.tags) == (digest, ("1",))
    assert found.media_type == MediaType.DOCKER_MANIFEST
    assert operations.describe_image(moto, repository, "2") is None


def test_moto_takes_a_whole_image_once(moto: Session, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    image = workshop.build(model=noise(tmp_path))
    destination = EcrRepository(
        session=moto,
        target=parse("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/whole:1"),
        records=tmp_path / "uploads",
        tags={},
    )

    sent = publish(image, destination, pending(image, destination))
    again = publish(image, destination, pending(image, destination))

    assert (sent, again) == (sum(blob.size for blob in image.blobs), 0)
    found = operations.describe_image(moto, destination.repository, "1")
    assert found is not None
    assert found.digest == image.digest


def noise(folder: Path) -> Path:
    """An artifact that makes a layer of more than one part."""
    (folder / "weights").write_bytes(random.Random(1).randbytes(12 * MB))  # noqa: S311 - only has to be incompressible
    artifact = folder / "model.tar.gz"
    with tarfile.open(artifact, "w:gz", compresslevel=1) as tar:
        tar.add(folder / "weights", "weights")
    return artifact
