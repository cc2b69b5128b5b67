"""The layer of dependencies: resolved and unpacked by `uv` for another platform and Python.

    requirements ─▶ uv pip install --target ─▶ site-packages ─▶ layer
                    wheels alone: nothing is compiled and no code of a package runs

What `uv` leaves is the same on every machine but for console scripts, which name the Python that
`uv` happened to find, and notes on where a wheel lay; these stay out, with their lines in `RECORD`.
A server starts none of the scripts.
"""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from portside.archive import Member
from portside.archive.disk import disk_full, ran_full
from portside.errors import BuildError, MissingToolError
from portside.image.layer import Part
from portside.image.place import site_packages
from portside.image.platform import Platform

_EXTRA_HINT: Final = "install it: `pip install 'portside[build]'`"

_NO_WHEEL: Final = re.compile(
    r"`?(?P<name>[\w.-]+(?:==[\w.+!-]+)?)`? (?:has no (?:usable )?wheels|needs to be built)"
    r"|attempted to build `(?P<built>[\w.-]+)`"
)
_HASH: Final = re.compile(r"Hash mismatch for `(?P<name>[^`]+)`")
_OFFLINE: Final = re.compile(
    r"network was disabled|error sending request|dns error|Failed to fetch"
)

UNUSED: Final = ("huggingface-hub",)
"""What `tokenizers` requires and serving never imports: with all that it brings 23 MB. Left out
where only Portside's own requirements are installed, and nothing of the user's could miss it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to install, and for what: `python` is a version such as `3.11`."""

    requirements: Path | None
    serving: tuple[str, ...]
    platform: Platform
    python: str


class Installer(Protocol):
    """Whoever resolves and unpacks; see `Uv`."""

    @property
    def version(self) -> str:
        """What may make a difference to what is unpacked."""

    def install(self, wanted: Wanted, folder: Path) -> None:
        """Unpack what is wanted into a new folder, `site`; raises `BuildError`."""


class Uv:
    """`uv`, as its wheel brings it."""

    def __init__(self, program: str) -> None:
        self.program = program

    @property
    def version(self) -> str:
        """As the program itself says."""
        return self._run("--version")

    def install(self, wanted: Wanted, folder: Path) -> None:
        """Unpack wheels into `folder/site`; raises `BuildError`, naming what has no wheel."""
        own = folder / "serving.txt"
        own.write_text("\n".join(wanted.serving), encoding="utf-8")
        options = ["--requirements", str(own)]
        if wanted.requirements is None:
            unused = folder / "unused.txt"
            unused.write_text("\n".join(UNUSED), encoding="utf-8")
            options += ["--excludes", str(unused)]
        else:
            options += ["--requirements", str(self._as_requirements(wanted.requirements, folder))]
        target = ("--target", str(folder / "site"), "--python-version", wanted.python)
        for_platform = ("--python-platform", wanted.platform.wheel_tag)
        wheels = ("--only-binary", ":all:", "--no-progress", "--link-mode", "hardlink")
        self._run(
            "pip",
            "install",
            *target,
            *for_platform,
            *wheels,
            *options,
            wanted=wanted,
            folder=folder,
        )

    def _as_requirements(self, file: Path, folder: Path) -> Path:
        """A `uv.lock` as requirements with digests; everything else is read by `uv` as it is."""
        if file.name != "uv.lock":
            return file
        exported = folder / "locked.txt"
        where = ("--project", str(file.parent), "--output-file", str(exported))
        options = ("--frozen", "--no-dev", "--no-emit-project", "--no-header", "--quiet")
        self._run("export", *options, *where)
        return exported

    def _run(
        self, *arguments: str, wanted: Wanted | None = None, folder: Path | None = None
    ) -> str:
        done = subprocess.run(
            [self.program, "--color", "never", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            # There `uv` looks for settings: a package index of one's own, above all.
            cwd=wanted.requirements.parent if wanted and wanted.requirements else None,
        )
        if done.returncode != 0:
            if folder is not None and ran_full(folder, done.stderr):
                raise disk_full(folder)
            raise failure(done.stderr, wanted)
        return done.stdout.strip()


def find_uv() -> Uv:
    """The `uv` of the extra `build`; raises `MissingToolError`."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - of an extra

        return Uv(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise MissingToolError(
            "to build an image the program `uv` is needed, which is not installed",
            hint=_EXTRA_HINT,
        ) from error


def failure(said: str, wanted: Wanted | None) -> BuildError:
    """What `uv` said on stderr, as an error with a way on."""
    reason = _reason(said)
    python = f" for Python {wanted.python} on {wanted.platform}" if wanted else ""
    if mismatch := _HASH.search(reason):
        return BuildError(
            f"`{mismatch['name']}` is not the file that the requirements name: {reason}",
            hint="see who changed it, and only then write the new hash",
        )
    if found := _NO_WHEEL.search(reason):
        name = found["name"] or found["built"]
        bare = name.partition("==")[0]
        return BuildError(
            f"there is no wheel of `{name}`{python}, and images are built from wheels alone: "
            f"{reason}",
            hint=f"require a version of `{bare}` that has one, or put a wheel of your own "
            f"(`pip wheel {bare}`) in a folder and `--find-links FOLDER` in the requirements",
        )
    if _OFFLINE.search(reason):
        return BuildError(
            f"could not fetch the dependencies: {reason}",
            hint="see whether the package index can be reached, and run the same command again",
        )
    return BuildError(
        f"could not install the dependencies{python}: {reason}",
        hint="mend the requirements: see with `uv pip compile` what fits together",
    )


def _reason(said: str) -> str:
    """From the error on, in one line; without `uv`'s own hint, which is about its options."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    begin = next((n for n, line in enumerate(lines) if line.startswith("error:")), 0)
    end = next((n for n, line in enumerate(lines) if line.startswith("hint:")), len(lines))
    first, *others = [line.removeprefix("error:").strip() for line in lines[begin:end]] or [said]
    return " ".join([first, *others]).replace(" cause: ", ": ").rstrip(".")


# --- What was unpacked ------------------------------------------------------------------


def members(site: Path, wanted: Wanted, folder: Path) -> tuple[Member, ...]:
    """The files of the layer; what has to be changed is written anew into `folder`.

    Never in place: the files may be `uv`'s own cache, by another name.
    """
    prefix = PurePosixPath(site_packages(wanted.python))
    of_machine = tuple(_of_machine(site))
    found = []
    for path in _files(site):
        name = path.relative_to(site)
        if path in of_machine:
            continue
        is_record = name.name == "RECORD" and name.parent.suffix == ".dist-info"
        source = _record_without(of_machine, path, site, folder) if is_record else path
        found.append(Member(name=str(prefix / name.as_posix()), source=source))
    return tuple(found)


def _files(site: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(site):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if not (name == ".lock" and Path(root) == site):  # `uv`'s own
                yield Path(root, name)


def _of_machine(site: Path) -> Iterator[Path]:
    """Files that tell of the machine that installs."""
    yield from site.glob("*.dist-info/direct_url.json")
    yield from site.glob("*.dist-info/uv_cache.json")
    for path in (site / "bin").glob("*"):
        with path.open("rb") as file:
            if file.read(2) == b"#!":
                yield path


def _record_without(left_out: tuple[Path, ...], record: Path, site: Path, folder: Path) -> Path:
    gone = tuple(f"{path.relative_to(site).as_posix()}," for path in left_out)
    lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
    changed = folder / f"{record.parent.name}.RECORD"
    kept = "".join(line for line in lines if not line.startswith(gone))
    changed.write_text(kept, encoding="utf-8", newline="")
    return changed


def distributions(site: Path) -> tuple[Part, ...]:
    """What is installed, with the bytes that each takes, by name."""
    found = []
    for info in site.glob("*.dist-info"):
        headers = HeaderParser().parsestr((info / "METADATA").read_text("utf-8", "replace"))
        stated = headers.get("License-Expression") or ""
        found.append(
            Part(
                name=re.sub(r"[-_.]+", "-", headers["Name"]).lower(),
                version=headers["Version"],
                license=stated,
                size_bytes=sum(_recorded_sizes(info, site)),
            )
        )
    return tuple(sorted(found, key=lambda part: part.name))


def _recorded_sizes(info: Path, site: Path) -> Iterator[int]:
    record = (info / "RECORD").read_text(encoding="utf-8")
    for row in csv.reader(io.StringIO(record)):
        path = site / row[0] if row else None
        if path is not None and path.is_file():
            yield path.stat().st_size
