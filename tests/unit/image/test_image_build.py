"""From a recipe to an image: which layers, which settings, and the same bytes every time."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from portside.archive import Member, pack
from portside.errors import BuildError
from portside.image import check
from portside.image.build import Image
from portside.image.layer import LayerKind
from portside.image.platform import Platform
from tests.unit.image.image_fakes import (
    FakeInstaller,
    OciFolder,
    Workshop,
    base_tar,
    elf,
    members,
    names_in,
    root_files,
)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def config_of(image: Image) -> Any:
    return json.loads(image.open(image.config).read_bytes())


def made(image: Image) -> set[LayerKind]:
    return {layer.kind for layer in image.layers if layer.blob.digest in image.made}


def layer(image: Image, kind: LayerKind) -> Path:
    (found,) = [layer for layer in image.layers if layer.kind is kind]
    return image.open(found.blob)


def test_what_changes_least_lies_lowest(workshop: Workshop) -> None:
    image = workshop.build()

    assert [layer.kind for layer in image.layers] == [
        LayerKind.BASE,
        LayerKind.DEPENDENCIES,
        LayerKind.RUNTIME,
        LayerKind.CODE,
    ]


def test_sagemaker_gets_dockers_manifest_of_one_platform(workshop: Workshop) -> None:
    image = workshop.build()
    manifest = json.loads(image.layout.path(image.digest).read_bytes())

    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    types = {layer["mediaType"] for layer in manifest["layers"]}
    assert types == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}


def test_the_config_starts_the_server_as_the_first_process(workshop: Workshop) -> None:
    config = config_of(workshop.build())
    run = config["config"]

    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert run["Entrypoint"] == ["/opt/portside/bin/python", "-m", "portside.serving"]
    assert run["Cmd"] == ["serve"]
    assert run["User"] == "0"
    assert run["WorkingDir"] == "/opt/portside"
    assert "SAGEMAKER_PROGRAM=/opt/portside/code/inference.py" in run["Env"]
    assert "ORT_DISABLE_TELEMETRY=1" in run["Env"]
    assert any(line.startswith("PATH=/opt/portside/bin:/") for line in run["Env"])
    capabilities = {
        name.rpartition(".")[2]: value
        for name, value in run["Labels"].items()
        if name.startswith("com.amazonaws.sagemaker.capabilities")
    }
    assert capabilities == {
        "accept-bind-to-port": "true",
        "bidirectional-streaming": "false",
        "multi-models": "true",
    }


def test_every_layer_is_told_in_the_config(workshop: Workshop) -> None:
    image = workshop.build()
    config = config_of(image)

    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in image.layers]
    assert len(config["history"]) == len(image.layers)


def test_the_same_files_give_the_same_digest_anywhere(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        strict = Workshop(tmp_path / "strict").build()
        os.umask(0o000)
        other = Workshop(tmp_path / "elsewhere" / "deep")
        other.installer.script = "#!/opt/another/python\n"
        open_to_all = other.build()
    finally:
        os.umask(before)

    assert strict.digest == open_to_all.digest


def test_an_unchanged_project_makes_nothing(workshop: Workshop) -> None:
    first = workshop.build()
    second = workshop.build()

    assert made(first) == {LayerKind.DEPENDENCIES, LayerKind.RUNTIME, LayerKind.CODE}
    assert made(second) == set()
    assert second.digest == first.digest
    assert len(workshop.installer.asked) == 1


def test_a_change_of_the_code_makes_the_layer_of_the_code(workshop: Workshop) -> None:
    first = workshop.build()
    second = workshop.build("def predict(data, model): return data\n")

    assert made(second) == {LayerKind.CODE}
    assert second.layers[:-1] == first.layers[:-1]
    assert second.digest != first.digest


def test_two_builds_at_once_do_not_disturb_each_other(workshop: Workshop) -> None:
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda _: workshop.build(), range(4)))

    assert len({image.digest for image in images}) == 1
    assert all(image.open(blob).is_file() for image in images for blob in image.blobs)
    assert not list(workshop.layout.folder.rglob(".*.partial"))


def test_changed_requirements_are_installed_anew(workshop: Workshop, tmp_path: Path) -> None:
    requirements, more = tmp_path / "requirements.txt", tmp_path / "more.txt"
    requirements.write_text("-r more.txt\n")
    more.write_text("one\n")
    workshop.build(requirements=requirements)
    workshop.build(requirements=requirements)
    assert len(workshop.installer.asked) == 1

    more.write_text("one==1.5\n")
    workshop.build(requirements=requirements)

    assert len(workshop.installer.asked) == 2


def test_a_blob_that_is_gone_is_made_again(workshop: Workshop) -> None:
    first = workshop.build()
    layer(first, LayerKind.CODE).unlink()

    assert made(workshop.build()) == {LayerKind.CODE}


def test_dependencies_hold_nothing_of_the_machine_that_installs(workshop: Workshop) -> None:
    image = workshop.build()
    site = "opt/portside/lib/python3.11/site-packages"
    names = names_in(layer(image, LayerKind.DEPENDENCIES))

    assert f"{site}/one/__init__.py" in names
    assert f"{site}/bin/program" in names
    unwanted = {f"{site}/bin/one", f"{site}/.lock", f"{site}/lib_one-1.5.dist-info/direct_url.json"}
    assert unwanted.isdisjoint(names)


def test_the_runtime_is_an_environment_of_the_bases_python(workshop: Workshop) -> None:
    names = names_in(layer(workshop.build(), LayerKind.RUNTIME))

    assert names["opt/portside/bin/python"].linkname == "/usr/bin/python3.11"
    assert names["opt/portside/bin/serve"].mode == 0o755
    assert "opt/portside/pyvenv.cfg" in names
    site = "opt/portside/lib/python3.11/site-packages/portside"
    assert f"{site}/serving/server.py" in names
    assert f"{site}/cli/application.py" not in names


def test_a_model_comes_below_the_code_and_without_it(workshop: Workshop, tmp_path: Path) -> None:
    artifact = tmp_path / "model.tar.gz"
    files = members(tmp_path / "artifact", {"model.onnx": "weights", "inference.py": "code"})
    renamed = {"model.onnx": "model.onnx", "inference.py": "code/inference.py"}
    pack((Member(name=renamed[f.name], source=f.source) for f in files), artifact)

    image = workshop.build(model=artifact)

    assert [layer.kind for layer in image.layers][-2:] == [LayerKind.MODEL, LayerKind.CODE]
    names = names_in(layer(image, LayerKind.MODEL))
    assert "opt/portside/model/model.onnx" in names
    assert not any("inference.py" in name for name in names)
    assert "SM_MODEL_DIR=/opt/portside/model" in config_of(image)["config"]["Env"]


def test_the_bases_settings_stay_where_we_set_none(workshop: Workshop, tmp_path: Path) -> None:
    folder = OciFolder(tmp_path / "oci")
    run = {"Env": ["PATH=/custom", "BASE=1"], "Labels": {"of": "base"}, "User": "7"}

    config = config_of(workshop.build(base=str(folder.index(folder.image(config=run)))))["config"]

    assert "BASE=1" in config["Env"]
    assert "PATH=/opt/portside/bin:/custom" in config["Env"]
    assert config["Labels"]["of"] == "base"
    assert config["User"] == "0"


def test_a_library_for_another_processor_is_named(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, installer=FakeInstaller(library=elf(Platform.ARM64)))

    with pytest.raises(BuildError, match=r"one/fast.so` is not for linux/amd64") as raised:
        workshop.build()

    assert raised.value.hint


def test_a_base_without_a_needed_library_is_named(
    workshop: Workshop, tmp_path: Path, elf_with_needs: bytes
) -> None:
    workshop.installer.library = elf_with_needs
    files = {name: data for name, data in root_files().items() if "libstdc++" not in name}
    bare = base_tar(tmp_path / "bare", files)

    assert workshop.build().made  # the usual base has it
    with pytest.raises(BuildError, match=r"has no `libstdc\+\+.so.6`") as raised:
        workshop.build(base=str(bare))

    assert raised.value.hint
    assert "libstdc++6" in raised.value.hint


def test_a_secret_is_not_shipped(workshop: Workshop, tmp_path: Path) -> None:
    code = members(tmp_path / "mine", {"inference.py": "", "server.pem": "KEY"})

    with pytest.raises(BuildError, match=r"server.pem` looks like a secret"):
        workshop.build(code=code)


def test_an_image_over_the_limit_tells_what_each_layer_costs(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "IMAGE_BYTES", 1000)

    with pytest.raises(BuildError, match=r"the image unpacks to .* dependencies 0\.0 GB"):
        workshop.build()


def test_a_gpus_libraries_are_warned_about(workshop: Workshop, tmp_path: Path) -> None:
    class Gpu(FakeInstaller):
        def install(self, wanted: Any, folder: Path) -> None:
            super().install(wanted, folder)
            info = folder / "site" / "nvidia_cublas-1.dist-info"
            library = folder / "site" / "nvidia" / "libcublas.so"
            info.mkdir()
            library.parent.mkdir()
            library.write_bytes(elf() + bytes(3_000_000))
            (info / "METADATA").write_text("Name: nvidia-cublas\nVersion: 1\n")
            (info / "RECORD").write_text("nvidia/libcublas.so,,\n")

    workshop.installer = Gpu()
    workshop.build()
    workshop.build()

    warning, again = workshop.warnings
    assert again == warning
    assert "nvidia-cublas" in warning
    assert "take 3 MB" in warning
