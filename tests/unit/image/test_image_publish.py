"""Pushing: what is there is not sent, the manifest comes last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from portside.errors import PortsideError
from portside.image.build import Image
from portside.image.oci import Descriptor
from portside.image.publish import pending, publish
from portside.image.reference import parse
from tests.unit.image.image_fakes import FakeDestination, Workshop


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Workshop(tmp_path).build()


def push(image: Image, destination: FakeDestination) -> int:
    return publish(image, destination, pending(image, destination))


def test_everything_comes_and_the_manifest_last(image: Image) -> None:
    destination = FakeDestination()

    sent = push(image, destination)

    assert sorted(destination.came[:-1]) == sorted(blob.digest for blob in image.blobs)
    assert destination.came[-1] == image.digest
    assert sent == sum(blob.size for blob in image.blobs)


def test_a_second_push_sends_the_manifest_alone(image: Image) -> None:
    destination = FakeDestination()
    push(image, destination)
    destination.came.clear()

    assert push(image, destination) == 0
    assert destination.came == [image.digest]


def test_a_failure_leaves_no_manifest_and_the_next_push_goes_on(image: Image) -> None:
    destination = FakeDestination(broken={image.layers[-1].blob.digest})
    with pytest.raises(PortsideError, match="broken"):
        push(image, destination)
    assert image.digest not in destination.came
    already = set(destination.came)

    destination.broken.clear()
    destination.came.clear()
    push(image, destination)

    assert already.isdisjoint(destination.came)
    assert destination.came[-1] == image.digest


def test_the_first_failure_stops_what_is_on_its_way(image: Image) -> None:
    largest = max(image.blobs, key=lambda blob: blob.size)

    class Endless(FakeDestination):
        """Sends for ever, if nobody stops it."""

        def send(self, blob: Descriptor, path: Path, progress: Callable[[int], None]) -> None:
            if blob == largest:
                raise PortsideError("refused")
            while True:
                progress(1)
                time.sleep(0.001)

    with pytest.raises(PortsideError, match="refused"):
        push(image, Endless())


def test_the_bases_layers_are_mounted_where_they_can_be(image: Image) -> None:
    base = replace(image.base, origin=parse("registry.example/python:3"))
    pulled = replace(image, base=base)
    layer = base.layers[0]
    destination = FakeDestination(mountable={layer.digest})
    heard: list[int] = []

    todo = pending(pulled, destination)
    sent = publish(pulled, destination, todo, progress=heard.append)

    assert layer.digest not in destination.came
    assert sent == todo.size_bytes - layer.size
    assert sum(heard) == todo.size_bytes
