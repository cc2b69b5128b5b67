"""The container image of a project: built, and brought to its repository."""

from __future__ import annotations

from functools import cache

from portside import config
from portside.aws.session import Session
from portside.cli import build
from portside.deploy.apply.action import Progress, Pusher
from portside.deploy.apply.repository import EcrRepository
from portside.deploy.desired import resources
from portside.deploy.desired.resources import TAG_PROJECT
from portside.errors import ConfigError
from portside.image.build import Image
from portside.image.layout import Layout
from portside.image.platform import Platform, platform_of
from portside.image.publish import pending, publish
from portside.image.reference import Reference


def make(project: config.Project) -> Image:
    """Build the image for what the project's instances run."""
    recipe = build.make_recipe(
        project,
        platform=_platform(project),
        requirements=None if project.dockerfile else project.requirements,
        model_in_image=project.model_in_image,
    )
    layout = Layout(project.work_dir / "image")
    return build.make(recipe, layout=layout, registry_of=cache(build.open_registry))


def pusher(made: Image, project: config.Project, session: Session) -> Pusher:
    """Who brings the image to its repository."""

    def push(image: resources.Image, progress: Progress) -> None:
        destination = EcrRepository(
            session=session,
            target=Reference(registry=image.registry, repository=image.repository, tag=image.tag),
            records=project.work_dir / "image" / "uploads",
            tags={TAG_PROJECT: project.name},
        )
        publish(made, destination, pending(made, destination), progress=progress.sent)

    return push


def _platform(project: config.Project) -> Platform:
    """What the project's instances run: they share one image, and an image is for one platform."""
    wanted = {
        platform_of(instance_type)
        for endpoint in project.endpoints
        for instance_type in endpoint.instance_types
    }
    if len(wanted) > 1:
        raise ConfigError(
            "the project's instances are of two platforms, and they share one image",
            path="endpoint.instance_type",
            hint="use Graviton (such as `ml.m7g.large`) for all of them or for none",
        )
    return wanted.pop()
