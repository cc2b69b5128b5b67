"""`portside build`: the container image of a project."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never
from urllib.request import getproxies, proxy_bypass

import click

from portside import config
from portside.archive import Member
from portside.archive.partial import write_whole
from portside.artifact.handler import handler_members
from portside.artifact.quantity import size
from portside.cli import output, package
from portside.cli.target import AWS, LOCAL, connect
from portside.contract import CODE_DIR_NAME, DEFAULT_PROGRAM
from portside.deploy.desired.resources import TAG_PROJECT
from portside.errors import BuildError, MissingToolError, UsageError, hinting
from portside.image import base_image, sbom
from portside.image.base_image import Source
from portside.image.build import DockerfileRecipe, Image, Recipe, build, reference_of
from portside.image.dependency import find_uv
from portside.image.explain import as_value, tree
from portside.image.export import Format, export
from portside.image.layout import Layout
from portside.image.platform import Platform
from portside.image.reference import Reference, parse

if TYPE_CHECKING:
    from portside.image.publish import Destination
    from portside.image.registry import Registry

BILL: Final = "sbom.spdx.json"

_SEND_AGAIN: Final = "run the same command again: it sends only what is not there yet"


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
    show_default=base_image.DEFAULT,
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
    "--target",
    "where",
    type=click.Choice([LOCAL, AWS]),
    help="Whose ECR `--push` means: of the local AWS, or of AWS itself. [default: local]",
)
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
    base: str | None,
    requirements: Path | None,
    model_in_image: bool,
    push: str | None,
    where: str | None,
    path: Path | None,
    form: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Make the container image of the project in DIR, without docker.

    With `build = "dockerfile"` in `[image]` docker or podman makes it. Its digest goes to stdout,
    or its name with the digest if it was pushed. Only what changed is made and sent; the same
    files give the same bytes.

    \b
    Example:
      portside build examples/ner --push 127.0.0.1:5000/ner:1
      portside build --target aws --push 123456789012.dkr.ecr.us-east-1.amazonaws.com/ner:1
    """
    target = _target(push, path, form)
    if where and not (target and target.is_ecr):
        raise UsageError(
            "`--target` says whose ECR is meant, and nothing is pushed to ECR",
            hint="leave it out, or push to `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG`",
        )
    project = config.load(folder)
    registry_of = cache(open_registry)
    # Before anything is made: who may not push need not wait for the image.
    destination = (
        open_destination(target, project, where=where or LOCAL, registry_of=registry_of)
        if target is not None
        else None
    )
    recipe = make_recipe(
        project,
        base=base,
        platform=Platform(platform),
        requirements=requirements or project.requirements,
        model_in_image=model_in_image or project.model_in_image,
    )
    image = make(recipe, layout=Layout(project.work_dir / "image"), registry_of=registry_of)
    result = image.digest
    if explain:
        for line in tree(image, size=size):
            output.note(line)
    if target is not None and destination is not None:
        result = send(image, target, destination=destination)
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
    platform: Platform,
    base: str | None = None,
    requirements: Path | None = None,
    model_in_image: bool = False,
) -> Recipe | DockerfileRecipe:
    """What a project's image is made from; the model's artifact is packaged if it is to be in."""
    if project.dockerfile is not None:
        if base or requirements or model_in_image:
            raise UsageError(
                f"what is in the image `{project.dockerfile}` says",
                hint="leave out `--base`, `--requirements` and `--model-in-image`, or remove "
                '`build = "dockerfile"` from `[image]`',
            )
        return DockerfileRecipe(
            name=project.name,
            platform=platform,
            dockerfile=project.dockerfile,
            context=project.root,
            left_out=(project.work_dir.name,),
        )
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
        base=base or project.base or base_image.DEFAULT,
        platform=platform,
        requirements=requirements,
        code=tuple(
            Member(name=file.name.removeprefix(f"{CODE_DIR_NAME}/"), source=file.source)
            for file in members
        ),
        model=package.make(project).path if model_in_image else None,
    )


def make(
    recipe: Recipe | DockerfileRecipe, *, layout: Layout, registry_of: Callable[[str], Source]
) -> Image:
    """Build an image and say what it took; its bill of materials lies in the layout."""
    warnings: list[str] = []
    shown = output.relaying if isinstance(recipe, DockerfileRecipe) else output.activity
    with shown(f"building {recipe.name} for {recipe.platform}") as say:
        match recipe:
            case Recipe():
                image = build(
                    recipe,
                    layout=layout,
                    installer=find_uv(),
                    source=registry_of,
                    say=say,
                    warn=warnings.append,
                )
            case DockerfileRecipe():
                image = _build_by_engine(recipe, layout=layout, say=say, warn=warnings.append)
            case _:
                assert_never(recipe)
    write_whole(layout.folder / BILL, sbom.bill(image))
    made = [layer for layer in image.layers if layer.blob.digest in image.made]
    changed = ", ".join(f"{layer.kind} {size(layer.blob.size)}" for layer in made)
    output.note(f"  {changed or 'nothing'} made anew; {image.digest}")
    if image.base and image.base.origin is not None and image.base.origin.digest is None:
        pinned = replace(image.base.origin, tag=None, digest=image.base.digest)
        output.note(f"  a tag can move; for this very base: `--base {pinned}`")
    for warning in warnings:
        output.note(f"warning: {warning}")
    return image


def _build_by_engine(
    recipe: DockerfileRecipe,
    *,
    layout: Layout,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> Image:
    """By docker or podman, whose output is printed as it comes."""
    # With asyncio, which other builds need not wait for.
    from portside.engine.image_build import find_builder  # noqa: PLC0415 - see above
    from portside.engine.runner import SystemRunner  # noqa: PLC0415 - see above
    from portside.image.dockerfile import build_dockerfile  # noqa: PLC0415 - see above

    builder = find_builder(
        runner=SystemRunner(os.environ),
        which=shutil.which,
        hear=output.relayed,
    )
    return build_dockerfile(recipe, layout=layout, builder=builder, say=say, warn=warn)


def send(image: Image, target: Reference, *, destination: Destination) -> str:
    """Push an image; the name by which it can be run."""
    from portside.image.publish import pending, publish  # noqa: PLC0415 - of an extra

    with hinting(_SEND_AGAIN):
        todo = pending(image, destination)
    if todo.begun_bytes:
        output.note(f"  going on: {size(todo.begun_bytes)} came with an earlier push")
    began = time.monotonic()
    with (
        hinting(_SEND_AGAIN),
        output.transfer(f"pushing to {target}", total_bytes=todo.size_bytes) as progress,
    ):
        sent = publish(image, destination, todo, progress=progress)
    rate = f", {size(sent / max(time.monotonic() - began, 0.001))}/s" if sent else ""
    there = f"{len(todo.present)} of {len(image.blobs)} blobs were there already"
    output.note(f"  {size(sent)} sent{rate}; {there}")
    return str(reference_of(target, image))


def open_destination(
    target: Reference,
    project: config.Project,
    *,
    where: str,
    registry_of: Callable[[str], Registry],
) -> Destination:
    """Where an image is pushed to: ECR by its own API, others by the distribution API.

    Whether the user may push to ECR is asked at once; raises `UsageError` and `RemoteError`.
    """
    if not target.is_ecr:
        registry = registry_of(target.registry)
        from portside.image.publish import Distribution  # noqa: PLC0415 - of an extra

        return Distribution(registry=registry, target=target)
    session = connect(where)
    from portside.deploy.apply import repository  # noqa: PLC0415 - brings boto3, of another extra

    if where == LOCAL:
        _check_local(target, account=session.account, region=session.region)
    repository.check_access(session, target)
    return repository.EcrRepository(
        session=session,
        target=target,
        records=project.work_dir / "image" / "uploads",
        tags={TAG_PROJECT: project.name},
    )


def _check_local(target: Reference, *, account: str, region: str) -> None:
    """That the name is the local ECR's: a name of AWS is not to end on this machine unnoticed."""
    host = f"{account}.dkr.ecr.{region}."
    if not target.registry.startswith(host):
        raise UsageError(
            f"cannot push to `{target}`: the local AWS is the account `{account}` in `{region}`",
            hint="add `--target aws` for AWS itself, or push to "
            f"`{replace(target, registry=f'{host}amazonaws.com')}`",
        )


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
