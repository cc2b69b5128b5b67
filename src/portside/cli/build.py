"""`portside build`: the container image of a project."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

import click

from portside import config
from portside.archive import Member
from portside.archive.partial import write_whole
from portside.artifact.handler import handler_members
from portside.artifact.quantity import size
from portside.cli import output, package
from portside.contract import CODE_DIR_NAME, DEFAULT_PROGRAM
from portside.errors import BuildError, MissingToolError, UsageError
from portside.image import base_image, sbom
from portside.image.base_image import Source
from portside.image.build import Image, Recipe, build, reference_of
from portside.image.dependency import find_uv
from portside.image.explain import as_value, tree
from portside.image.export import Format, export
from portside.image.layout import Layout
from portside.image.platform import Platform
from portside.image.reference import Reference, parse

if TYPE_CHECKING:
    from portside.image.registry import Registry

BILL: Final = "sbom.spdx.json"


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--platform",
    type=click.Choice([str(platform) for platform in Platform]),
    default=str(Platform.AMD64),
    show_default=True,
    help="What the endpoint's instances are: Graviton is linux/arm64.",
)
@click.option(
    "--base",
    metavar="REF|PATH",
    default=base_image.DEFAULT,
    show_default=True,
    help="An image with Python, a folder with an OCI layout, or a tar of a root file system.",
)
@click.option(
    "--requirements",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What to install: a requirements.txt, a pyproject.toml or a uv.lock.",
)
@click.option(
    "--model-in-image", is_flag=True, help="Put the model into the image, instead of on S3."
)
@click.option("--push", metavar="REF", help="Where to push it, as REGISTRY/REPOSITORY:TAG.")
@click.option(
    "--output", "path", type=click.Path(path_type=Path), help="Where to write it as files."
)
@click.option(
    "--format",
    "form",
    type=click.Choice([str(form) for form in Format]),
    help="Of these files: a folder with an OCI layout, or a tar for `docker load`. [default: oci]",
)
@click.option("--explain", is_flag=True, help="Show what takes the room, layer by layer.")
@click.option("--json", "as_json", is_flag=True, help="Say what was made as JSON, on stdout.")
def command(
    folder: Path,
    platform: str,
    base: str,
    requirements: Path | None,
    model_in_image: bool,
    push: str | None,
    path: Path | None,
    form: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Make the container image of the project in DIR, without docker.

    Its digest goes to stdout, or its name with the digest if it was pushed. Only what changed is
    made and sent; the same files give the same bytes.

    \b
    Example:
      portside build examples/ner --push 127.0.0.1:5000/ner:1
    """
    target = _target(push, path, form)
    project = config.load(folder)
    recipe = make_recipe(
        project,
        base=base,
        platform=Platform(platform),
        requirements=requirements or project.requirements,
        model_in_image=model_in_image or project.model_in_image,
    )
    registry_of = cache(open_registry)
    image = make(recipe, layout=Layout(project.work_dir / "image"), registry_of=registry_of)
    result = image.digest
    if explain:
        for line in tree(image, size=size):
            output.note(line)
    if target is not None:
        result = send(image, target, registry=registry_of(target.registry))
    if path is not None:
        result = export(image, path, Format(form or Format.OCI))
        write_whole(path.with_name(f"{path.name}.{BILL}"), sbom.bill(image))
    if as_json:
        output.as_json({**as_value(image), "result": result})
    else:
        output.data(result)


def _target(push: str | None, path: Path | None, form: str | None) -> Reference | None:
    """Where to push to, if anywhere; before anything is made."""
    if push and path:
        raise UsageError(
            "an image is either pushed or written to files", hint="leave out one of the two"
        )
    if form and not path:
        raise UsageError("`--format` is that of files", hint="add `--output PATH`")
    target = parse(push) if push else None
    if target is not None and target.digest is not None:
        raise UsageError(
            f"cannot push to `{target}`: an image's digest follows from what is in it",
            hint=f"leave it out: `--push {replace(target, digest=None)}`",
        )
    return target


def make_recipe(
    project: config.Project,
    *,
    base: str,
    platform: Platform,
    requirements: Path | None = None,
    model_in_image: bool = False,
) -> Recipe:
    """What a project's image is made from; the model's artifact is packaged if it is to be in."""
    if project.model is None and project.handler is None:
        raise BuildError(
            f"there is neither a model nor an `{DEFAULT_PROGRAM}` in `{project.root}`",
            hint="put your checkpoint there as `model/`, or run `portside init`",
        )
    if model_in_image and project.model is None:
        raise BuildError(
            f"there is no model in `{project.root}` to put into the image",
            hint="put your checkpoint there as `model/`, or leave out `--model-in-image`",
        )
    members = handler_members(project.handler) if project.handler else ()
    return Recipe(
        name=project.name,
        base=base,
        platform=platform,
        requirements=requirements,
        code=tuple(
            Member(name=file.name.removeprefix(f"{CODE_DIR_NAME}/"), source=file.source)
            for file in members
        ),
        model=package.make(project).path if model_in_image else None,
    )


def make(recipe: Recipe, *, layout: Layout, registry_of: Callable[[str], Source]) -> Image:
    """Build an image and say what it took; its bill of materials lies in the layout."""
    warnings: list[str] = []
    with output.activity(f"building {recipe.name} for {recipe.platform}") as say:
        image = build(
            recipe,
            layout=layout,
            installer=find_uv(),
            source=registry_of,
            say=say,
            warn=warnings.append,
        )
    write_whole(layout.folder / BILL, sbom.bill(image))
    made = [layer for layer in image.layers if layer.kind in image.made]
    changed = ", ".join(f"{layer.kind} {size(layer.blob.size)}" for layer in made)
    output.note(f"  {changed or 'nothing'} made anew; {image.digest}")
    if image.base.origin is not None and image.base.origin.digest is None:
        pinned = replace(image.base.origin, tag=None, digest=image.base.digest)
        output.note(f"  a tag can move; for this very base: `--base {pinned}`")
    for warning in warnings:
        output.note(f"warning: {warning}")
    return image


def send(image: Image, target: Reference, *, registry: Registry) -> str:
    """Push an image; the name by which it can be run."""
    from portside.image.publish import Distribution, pending, publish  # noqa: PLC0415 - an extra

    destination = Distribution(registry=registry, target=target)
    todo = pending(image, destination)
    began = time.monotonic()
    with output.transfer(f"pushing to {target}", total_bytes=todo.size_bytes) as progress:
        sent = publish(image, destination, todo, progress=progress)
    rate = size(sent / max(time.monotonic() - began, 0.001))
    there = f"{len(todo.present)} of {len(image.blobs)} blobs were there already"
    output.note(f"  {size(sent)} sent, {rate}/s; {there}")
    return str(reference_of(target, image))


def open_registry(host: str) -> Registry:
    """The registry of a host, with the credential that this machine has for it."""
    try:
        from portside.image.registry import Registry  # noqa: PLC0415 - of an extra
        from portside.image.transport import Transport, is_loopback  # noqa: PLC0415 - likewise
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"to speak to the registry `{host}`, `{error.name}` is needed, which is not installed",
            hint="install it: `pip install 'portside[build]'`",
        ) from error
    from portside.image.credential import auth_files, find_credential  # noqa: PLC0415 - likewise

    credential = find_credential(host, auth_files(os.environ, Path.home()))
    proxy = None if proxy_bypass(host) or is_loopback(host) else getproxies().get("https")
    return Registry(Transport(host, credential=credential, proxy=proxy))
