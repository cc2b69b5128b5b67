"""Pushing to ECR: nothing is sent that is there, and what was cut goes on."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from portside.aws import ecr as operations
from portside.deploy.apply.repository import EcrRepository, check_access
from portside.deploy.apply.upload_record import Upload, open_record, read_record
from portside.errors import PortsideError, RemoteError, UsageError
from portside.image.build import Image
from portside.image.oci import Descriptor
from portside.image.publish import pending, publish
from portside.image.reference import parse
from tests.unit.deploy.fake_ecr import HOST, FakeEcr, RefusedError
from tests.unit.image.image_fakes import Workshop

PART = 1000
LARGE = bytes(range(256)) * 14
"""Four parts: three whole ones and the rest."""


@pytest.fixture
def ecr() -> FakeEcr:
    return FakeEcr(part_bytes=PART)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def destination(ecr: FakeEcr, tmp_path: Path, pauses: list[float]) -> EcrRepository:
    return EcrRepository(
        session=ecr.session(),
        target=parse(f"{HOST}/team/ner:1"),
        records=tmp_path / "uploads",
        tags={"portside:project": "ner"},
        sleep=pauses.append,
    )


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def push(image: Image, destination: EcrRepository) -> int:
    return publish(image, destination, pending(image, destination))


class Large:
    """A blob of four parts, sent to a repository that is there."""

    def __init__(self, destination: EcrRepository, ecr: FakeEcr, folder: Path) -> None:
        self.path = folder / "large"
        self.path.write_bytes(LARGE)
        digest = f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
        self.blob = Descriptor(media_type="layer", size=len(LARGE), digest=digest)
        self.destination, self.ecr = destination, ecr
        self.heard: list[int] = []
        destination.present([self.blob])

    def send(self) -> None:
        self.destination.send(self.blob, self.path, self.heard.append)

    def cut(self) -> None:
        """A push that ends after two parts, in the middle of the third."""
        self.ecr.meets("UploadLayerPart", None, None, RefusedError("AccessDeniedException"))
        with pytest.raises(RemoteError, match="UploadLayerPart"):
            self.send()
        self.ecr.calls.clear()
        self.heard.clear()

    @property
    def came(self) -> bytes:
        return self.ecr.repositories["team/ner"].layers[self.blob.digest]

    @property
    def records(self) -> list[Path]:
        return list(self.destination.records.glob("*"))


@pytest.fixture
def large(destination: EcrRepository, ecr: FakeEcr, tmp_path: Path) -> Large:
    return Large(destination, ecr, tmp_path)


# --- A whole image --------------------------------------------------------------


def test_a_first_push_makes_the_repository_and_the_image(
    ecr: FakeEcr, destination: EcrRepository, workshop: Workshop
) -> None:
    image = workshop.build()

    sent = push(image, destination)

    stored = ecr.repositories["team/ner"]
    assert stored.settings["imageScanningConfiguration"] == {"scanOnPush": True}
    assert stored.settings["tags"] == [{"Key": "portside:project", "Value": "ner"}]
    assert stored.settings["registryId"] == HOST[:12]
    assert stored.layers == {
        blob.digest: image.layout.path(blob.digest).read_bytes()
        for blob in image.blobs
        if blob not in image.base.layers
    } | {blob.digest: image.open(blob).read_bytes() for blob in image.base.layers}
    (given,) = ecr.asked("PutImage")
    assert given["imageManifestMediaType"].endswith("docker.distribution.manifest.v2+json")
    assert (given["imageDigest"], given["imageTag"]) == (image.digest, "1")
    assert sent == ecr.sent_bytes == sum(blob.size for blob in image.blobs)
    assert not list(destination.records.glob("*"))


def test_a_second_push_asks_one_question_and_sends_nothing(
    ecr: FakeEcr, destination: EcrRepository, workshop: Workshop
) -> None:
    image = workshop.build()
    push(image, destination)
    ecr.calls.clear()

    assert push(image, destination) == 0

    assert [name for name, _ in ecr.calls] == ["BatchCheckLayerAvailability", "PutImage"]


def test_a_change_of_the_code_sends_that_layer_and_the_config(
    ecr: FakeEcr, destination: EcrRepository, workshop: Workshop
) -> None:
    push(workshop.build(), destination)
    ecr.calls.clear()
    changed = workshop.build("def predict(data, model): return 1\n")

    sent = push(changed, destination)

    assert sent == changed.layers[-1].blob.size + changed.config.size
    assert len(ecr.asked("CompleteLayerUpload")) == 2


def test_a_tag_that_must_not_move_says_so(
    ecr: FakeEcr, destination: EcrRepository, workshop: Workshop
) -> None:
    image = workshop.build()
    push(image, destination)
    ecr.repositories["team/ner"].settings["imageTagMutability"] = "IMMUTABLE"
    push(image, destination)  # the same again is nothing new

    with pytest.raises(RemoteError, match="tag is immutable") as caught:
        push(workshop.build("def predict(data, model): return 1\n"), destination)

    assert caught.value.hint == "take another tag: the repository lets no tag move"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("ExpiredTokenException", "aws sso login"),
        ("AccessDeniedException", "ask for this policy"),
        ("KmsException", "kms:GenerateDataKey"),
    ],
)
def test_a_refusal_names_the_action_and_the_next_step(
    ecr: FakeEcr, destination: EcrRepository, workshop: Workshop, code: str, hint: str
) -> None:
    image = workshop.build()
    ecr.meets("InitiateLayerUpload", *[RefusedError(code, "is refused")] * 4)

    with pytest.raises(RemoteError, match="`ecr:InitiateLayerUpload` was refused: is") as caught:
        push(image, destination)

    assert caught.value.hint is not None
    assert hint in caught.value.hint
    assert not ecr.asked("PutImage")
    assert not list(destination.records.glob("*"))


# --- One large layer ------------------------------------------------------------


def test_a_cut_upload_goes_on_with_the_next_part(large: Large) -> None:
    large.cut()
    assert large.destination.begun(large.blob) == 2 * PART

    large.send()

    assert large.came == LARGE
    assert not large.ecr.asked("InitiateLayerUpload")
    assert large.ecr.sent_bytes == sum(large.heard) == len(LARGE) - 2 * PART
    assert not large.records


def test_how_far_it_came_is_for_its_owner_alone(large: Large) -> None:
    large.cut()

    (record,) = large.records

    assert stat.S_IMODE(record.stat().st_mode) == 0o600


def test_a_part_that_came_and_was_not_written_down_is_not_sent_again_and_again(
    large: Large,
) -> None:
    large.cut()
    (record,) = large.records
    known = read_record(record)
    assert known is not None
    large.ecr.uploads[known.upload_id].append(LARGE[2 * PART : 3 * PART])

    large.send()

    assert large.came == LARGE
    assert [given["partFirstByte"] for given in large.ecr.asked("UploadLayerPart")] == [2000, 3000]
    assert sum(large.heard) == len(LARGE) - 2 * PART


def test_an_upload_that_ecr_lost_begins_anew(large: Large) -> None:
    large.cut()
    large.ecr.uploads.clear()

    large.send()

    assert large.came == LARGE
    assert large.ecr.asked("UploadLayerPart")[1]["partFirstByte"] == 0
    assert not large.records


def test_bytes_of_an_upload_that_was_lost_on_the_way_do_not_count(large: Large) -> None:
    large.ecr.meets("UploadLayerPart", None, RefusedError("UploadNotFoundException"))

    large.send()

    assert large.came == LARGE
    assert sum(large.heard) == len(LARGE)


def test_an_upload_of_other_bytes_begins_anew(large: Large) -> None:
    large.cut()
    for parts in large.ecr.uploads.values():
        parts[0] = bytes(PART)

    large.send()

    assert large.came == LARGE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"upload_id": "\xff", "part_bytes": 10, "received": 5}',
        b'{"upload_id": "x", "part_bytes": 0, "received": 0}',
        b'{"upload_id": "x", "part_bytes": 10, "received": 99999999}',
    ],
)
def test_a_record_that_makes_no_sense_is_none(large: Large, content: bytes) -> None:
    large.cut()
    (record,) = large.records
    record.write_bytes(content)

    assert large.destination.begun(large.blob) == 0
    large.send()

    assert large.came == LARGE
    assert not large.records


def test_ecr_that_takes_no_part_ends_the_push(large: Large) -> None:
    large.ecr.part_bytes = PART
    refusal = RefusedError(
        "InvalidLayerPartException", "wrong", members={"lastValidByteReceived": 0}
    )
    large.ecr.meets("UploadLayerPart", *[refusal] * 10)

    with pytest.raises(RemoteError, match="`ecr:UploadLayerPart` was refused: wrong"):
        large.send()

    assert len(large.ecr.asked("UploadLayerPart")) == 2
    assert sum(large.heard) == 0


@pytest.mark.parametrize("operation", ["InitiateLayerUpload", "UploadLayerPart"])
def test_an_outage_is_waited_for_longer_and_longer(
    large: Large, pauses: list[float], operation: str
) -> None:
    large.ecr.meets(operation, *["cut"] * 6)  # of which botocore meets three at once

    large.send()

    assert large.came == LARGE
    first, second = pauses
    assert 0.5 <= first <= 1 <= second <= 2


def test_ecrs_own_trouble_is_waited_for(large: Large, pauses: list[float]) -> None:
    large.ecr.meets("UploadLayerPart", *[RefusedError("ServerException", status=500)] * 3)

    large.send()

    assert large.came == LARGE
    assert len(pauses) == 1


def test_a_longer_outage_ends_the_push_and_the_next_goes_on(
    large: Large, pauses: list[float]
) -> None:
    large.ecr.meets("UploadLayerPart", None, *["cut"] * 15)

    with pytest.raises(RemoteError, match="cannot reach `ecr`"):
        large.send()
    assert len(pauses) == 4
    assert large.destination.begun(large.blob) == PART

    large.send()
    assert large.came == LARGE


def test_an_answer_that_was_lost_costs_no_second_upload(large: Large) -> None:
    large.ecr.meets("UploadLayerPart", None, "lost")
    large.ecr.meets("CompleteLayerUpload", "lost")

    large.send()

    assert large.came == LARGE
    assert len(large.ecr.asked("InitiateLayerUpload")) == 1
    assert len(large.ecr.asked("UploadLayerPart")) == 5


def test_of_two_pushes_of_one_layer_the_second_has_an_upload_of_its_own(large: Large) -> None:
    large.cut()
    (record,) = large.records
    with open_record(record) as held:
        before = held.read()
        large.send()
        assert held.read() == before

    assert large.came == LARGE
    assert len(large.ecr.asked("InitiateLayerUpload")) == 1


def test_a_layer_that_another_push_completed_is_no_error(large: Large) -> None:
    large.ecr.repositories["team/ner"].layers[large.blob.digest] = LARGE

    large.send()

    assert not large.records


def test_a_layer_that_is_there_needs_no_record(large: Large) -> None:
    large.cut()
    large.ecr.repositories["team/ner"].layers[large.blob.digest] = LARGE

    assert large.destination.present([large.blob]) == {large.blob}
    assert not large.records


def test_a_file_that_became_shorter_is_not_pushed(large: Large) -> None:
    large.path.write_bytes(LARGE[: 2 * PART])

    with pytest.raises(PortsideError, match="has become shorter"):
        large.send()


def test_a_push_that_failed_elsewhere_sends_no_further_part(large: Large) -> None:
    def stop(size: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        large.destination.send(large.blob, large.path, stop)

    assert not large.ecr.asked("UploadLayerPart")


def test_a_record_is_what_was_written_last(tmp_path: Path) -> None:
    long = Upload(upload_id="a" * 36, part_bytes=20971520, received=10**12)
    short = Upload(upload_id="b" * 36, part_bytes=1, received=1)

    with open_record(tmp_path / "new" / "record.json") as record:
        record.write(long)
        record.write(short)
        assert record.read() == short

    assert read_record(tmp_path / "new" / "record.json") == short


# --- What is asked of ECR beside ----------------------------------------------------


def test_many_layers_are_asked_for_a_hundred_at_a_time(large: Large) -> None:
    digests = [f"sha256:{number:064}" for number in range(149)]
    large.send()
    large.ecr.calls.clear()

    there = operations.available_layers(
        large.destination.session, large.destination.repository, [*digests, large.blob.digest]
    )

    assert there == {large.blob.digest}
    asked = large.ecr.asked("BatchCheckLayerAvailability")
    assert [len(given["layerDigests"]) for given in asked] == [100, 50]


def test_a_repository_that_is_missing_has_no_images(
    ecr: FakeEcr, destination: EcrRepository
) -> None:
    session, repository = destination.session, destination.repository

    assert operations.describe_image(session, repository, "1") is None


def test_an_image_is_found_by_tag_and_by_digest(
    ecr: FakeEcr, destination: EcrRepository, workshop: Workshop
) -> None:
    image = workshop.build()
    push(image, destination)
    session, repository = destination.session, destination.repository

    for reference in ("1", image.digest):
        found = operations.describe_image(session, repository, reference)
        assert found is not None
        assert (found.digest, found.tags) == (image.digest, ("1",))
        assert found.media_type == image.manifest.media_type


# --- Before anything is made ----------------------------------------------------


def test_a_name_of_another_region_is_refused(ecr: FakeEcr) -> None:
    with pytest.raises(UsageError, match="it is in `eu-west-1`, and the session in `us-east-1`"):
        check_access(ecr.session(region="us-east-1"), parse(f"{HOST}/ner:1"))

    assert not ecr.calls


@pytest.mark.parametrize("repository", ["x", "x" * 257])
def test_a_name_that_ecr_does_not_take_is_refused(ecr: FakeEcr, repository: str) -> None:
    with pytest.raises(
        UsageError, match=f"ECR takes no repository called `{repository}`"
    ) as caught:
        check_access(ecr.session(), parse(f"{HOST}/{repository}:1"))

    assert caught.value.hint == "choose a name of 2 to 256 characters"
    assert not ecr.calls


def test_a_missing_repository_is_no_obstacle(ecr: FakeEcr) -> None:
    check_access(ecr.session(), parse(f"{HOST}/ner:1"))

    (asked,) = ecr.asked("BatchCheckLayerAvailability")
    assert (asked["registryId"], asked["repositoryName"]) == (HOST[:12], "ner")


def test_an_expired_token_is_told_before_anything_is_made(ecr: FakeEcr) -> None:
    ecr.meets(
        "BatchCheckLayerAvailability", RefusedError("ExpiredTokenException", "The token is expired")
    )

    with pytest.raises(RemoteError, match="The token is expired"):
        check_access(ecr.session(), parse(f"{HOST}/ner:1"))
