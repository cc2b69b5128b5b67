"""What ELF files say, secrets by their names, requirements, and what `uv` says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portside
from portside.archive import Member
from portside.errors import BuildError
from portside.image.check import check_secrets, system_libraries
from portside.image.content import OWN_FILES
from portside.image.dependency import Wanted, failure
from portside.image.elf import machine_of, needed_by
from portside.image.platform import Platform
from portside.image.requirement import digests, serving_requirements


def test_a_library_says_what_it_needs(tmp_path: Path, elf_with_needs: bytes) -> None:
    library = tmp_path / "fast.so"
    library.write_bytes(elf_with_needs)

    assert machine_of(elf_with_needs) == Platform.AMD64.elf_machine
    assert needed_by(library) == ("libstdc++.so.6", "libm.so.6", "libown.so")
    needed = system_libraries([Member(name="fast.so", source=library)])
    assert needed == ("libm.so.6", "libstdc++.so.6")


@given(place=st.integers(0, 400), value=st.integers(0, 255), length=st.integers(0, 400))
def test_a_library_that_lies_harms_nobody(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, length: int
) -> None:
    # hypothesis and function-scoped fixtures do not mix: the bytes are made here.
    data = bytearray(b"\x7fELF\x02\x01\x01" + bytes(400))
    data[54:58] = b"\x38\x00\x02\x00"
    data[min(place, len(data) - 1)] = value
    library = tmp_path_factory.getbasetemp() / "lying.so"
    library.write_bytes(data[:length])

    machine_of(bytes(data[:length]))
    assert isinstance(needed_by(library), tuple)


@pytest.mark.parametrize(
    "name",
    [
        *(".env", ".env.production", "id_rsa", "server.KEY", "cert.pem", "credentials", ".netrc"),
        *("service-account.json", "client_secret_1.json", "secrets.yaml", "tunnel.ppk"),
    ],
)
def test_secrets_are_known_by_their_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match="looks like a secret") as raised:
        check_secrets([Member(name=f"lib/{name}", source=tmp_path / name)])
    assert raised.value.hint


@pytest.mark.parametrize("name", ["inference.py", "keys.json", ".env.example", "cacert.pem"])
def test_what_only_sounds_like_one_is_shipped(tmp_path: Path, name: str) -> None:
    check_secrets([Member(name=name, source=tmp_path / name)])


def test_a_certificate_without_its_key_is_shipped(tmp_path: Path) -> None:
    bundle = Member(name="global-bundle.pem", source=tmp_path / "global-bundle.pem")
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    bundle.source.write_text(certificate)

    check_secrets([bundle])

    bundle.source.write_text(f"{certificate}-----BEGIN RSA PRIVATE KEY-----\nMIIB\n")
    with pytest.raises(BuildError, match="looks like a secret"):
        check_secrets([bundle])


def test_serving_needs_what_the_package_says() -> None:
    names = {line.partition(">")[0] for line in serving_requirements()}

    assert {"numpy", "onnxruntime", "tokenizers", "orjson", "httptools", "uvloop"} == names
    assert not any("extra" in line for line in serving_requirements())


def test_the_image_holds_all_that_serving_imports() -> None:
    root = Path(portside.__file__).parent
    imported = set[str]()
    for file in (root / "serving").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("portside"):
                parts = (node.module or "").split(".")
                imported |= {parts[1]} if parts[1:] else {alias.name for alias in node.names}
    modules = {name for name in imported if not name.startswith("__")}  # else of `__init__.py`
    assert modules - {"serving"} <= {Path(name).stem for name in OWN_FILES}


def test_included_files_count_among_the_requirements(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "-r b.txt\n-cc.txt\nnumpy\n-r https://example.com/d.txt\n./own.whl\n./absent.whl\n"
    )
    (tmp_path / "own.whl").write_bytes(b"")
    (tmp_path / "b.txt").write_text("-r a.txt\n")
    (tmp_path / "c.txt").write_text("")

    names = sorted(name for name, _ in digests(tmp_path / "a.txt"))
    assert names == ["a.txt", "b.txt", "c.txt", "own.whl"]


def test_settings_of_uv_count_among_the_requirements(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("numpy\n")
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "a"\n')

    assert [name for name, _ in digests(tmp_path / "a.txt")] == ["a.txt"]

    project.write_text('[tool.uv]\nindex-url = "https://index.example"\n')
    (tmp_path / "uv.toml").write_text("")

    names = sorted(name for name, _ in digests(tmp_path / "a.txt"))
    assert names == ["a.txt", "pyproject.toml", "uv.toml"]


def test_missing_requirements_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="cannot read the requirements"):
        list(digests(tmp_path / "none.txt"))


WANTED = Wanted(requirements=None, serving=(), platform=Platform.ARM64, python="3.11")


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            "Using CPython\nerror: No solution\n  cause: Because foo==1.0 has no usable wheels",
            "there is no wheel of `foo==1.0` for Python 3.11 on linux/arm64",
            "--find-links",
        ),
        (
            "error: Because b-c==2 has no wheels with a matching platform tag (e.g., `x`)",
            "there is no wheel of `b-c==2`",
            "--find-links",
        ),
        (
            "error: Building source distributions is disabled, but attempted to build `mine`",
            "there is no wheel of `mine`",
            "--find-links",
        ),
        (
            "error: Failed to download `a==1`\n  cause: Hash mismatch for `a==1`\n",
            "`a==1` is not the file that the requirements name",
            "hash",
        ),
        (
            "error: Request failed\n cause: error sending request for url (http://x)",
            "could not fetch the dependencies",
            "index",
        ),
        ("error: something else", "could not install the dependencies", "requirements"),
        ("", "could not install the dependencies", "requirements"),
    ],
)
def test_what_uv_says_becomes_a_message_and_a_way_on(said: str, message: str, hint: str) -> None:
    error = failure(said, WANTED)

    assert error.message.startswith(message)
    assert error.hint
    assert hint in error.hint
