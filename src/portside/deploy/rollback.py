"""Back to an EndpointConfig that an endpoint ran before.

    configs with the project's tag ─▶ versions, newest first ─▶ the Nth before the live one ─▶ steps

A config is never changed, and the last three stay when newer ones come, so going back is one
update and makes nothing anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portside.aws import autoscaling, sagemaker
from portside.aws.session import Session
from portside.deploy.name import is_addressed, resource_id
from portside.deploy.resources import TAG_PROJECT, Endpoint, Kind
from portside.deploy.scaling import INSTANCE_COUNT
from portside.deploy.step import Step, Verb, step
from portside.errors import DeployError


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A config that an endpoint runs or may run: when it was made, and from what."""

    config: str
    created_at: float
    """Seconds since 1970."""
    model_data: tuple[str, ...]
    image: tuple[str, ...]
    """Of each variant's Model, in their order; `gone` where the Model is."""
    variants: tuple[str, ...]
    is_live: bool

    @property
    def is_whole(self) -> bool:
        """Whether all that it needs is there still."""
        return "gone" not in self.image


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An endpoint and its versions, newest first."""

    endpoint: str
    status: str
    versions: tuple[Version, ...]
    is_scaled: bool
    """Whether Application Auto Scaling moves its instance counts."""


def look_back(session: Session, project: str, endpoint: str) -> Past:
    """The versions of an endpoint. Raises `DeployError` where it is not the project's."""
    now = sagemaker.describe_endpoint(session, endpoint)
    if now is None or sagemaker.list_tags(session, now.arn).get(TAG_PROJECT) != project:
        raise DeployError(
            f"cannot roll back the endpoint `{endpoint}`: "
            + ("it is not deployed" if now is None else f"it is not of the project `{project}`"),
            hint="see what the project has with `portside status`",
        )
    made = [
        one
        for one in sagemaker.find_endpoint_configs(session, contains=endpoint)
        if one.name == now.config_name
        or (
            is_addressed(one.name, endpoint)
            and sagemaker.list_tags(session, one.arn).get(TAG_PROJECT) == project
        )
    ]
    found = [_version(session, one, live=now.config_name) for one in made]
    versions = sorted(found, key=lambda one: (-one.created_at, one.config))
    ids = [resource_id(endpoint, name) for one in versions if one.is_live for name in one.variants]
    targets = autoscaling.list_targets(session, resource_ids=ids) if ids else []
    return Past(
        endpoint=endpoint,
        status=now.status,
        versions=tuple(versions),
        is_scaled=any(target.dimension == INSTANCE_COUNT for target in targets),
    )


def choose(past: Past, *, back: int = 1, to: str | None = None) -> Version:
    """The version of a name, else the `back`th of those made before the one that runs.

    Where an earlier state was deployed again, nothing was made before it: then the others count,
    the newest of them first. Raises `DeployError` where there is none.
    """
    if to is not None:
        candidates = [one for one in past.versions if one.config == to]
        back = 1
    else:
        candidates = _earlier(past)
    if len(candidates) < back:
        known = ", ".join(f"`{one.config}`" for one in past.versions if not one.is_live)
        many = {0: "there is no earlier config", 1: "there is one earlier config"}.get(
            len(candidates), f"there are {len(candidates)} earlier configs"
        )
        raise DeployError(
            f"cannot roll back the endpoint `{past.endpoint}`: "
            + (f"there is no config `{to}` of its own" if to else many),
            hint=f"name one with `--to`: {known}"
            if known
            else "deploy an earlier state of the project: `git checkout`, then `portside deploy`",
        )
    chosen = candidates[back - 1]
    if not chosen.is_whole:
        raise DeployError(
            f"cannot roll back to `{chosen.config}`: a Model that it needs was deleted",
            hint="choose another: `portside rollback --list` shows them",
        )
    return chosen


def rollback_steps(past: Past, chosen: Version) -> tuple[Step, ...]:
    """The steps to a version; none where it runs already, and all traffic moves at once."""
    live = next((one for one in past.versions if one.is_live), None)
    if chosen.is_live and past.status == "InService":
        return ()
    same = live is not None and set(live.variants) == set(chosen.variants)
    wanted = Endpoint(
        name=past.endpoint,
        config_name=chosen.config,
        tags={},
        retain_capacity=past.is_scaled and same,
    )
    calm = () if past.status == "InService" else (_calm(past),)
    reason = f"runs `{live.config}`" if live else "is wanted so"
    return (
        *calm,
        step(Verb.UPDATE, wanted, reason),
        step(Verb.WAIT, wanted, "until it is InService"),
    )


def _calm(past: Past) -> Step:
    return Step(verb=Verb.WAIT, kind=Kind.ENDPOINT, name=past.endpoint, reason=f"is {past.status}")


def _earlier(past: Past) -> list[Version]:
    others = [one for one in past.versions if not one.is_live]
    live = next((one for one in past.versions if one.is_live), None)
    if live is None:
        return others
    return [one for one in others if one.created_at < live.created_at] or others


def _version(session: Session, made: sagemaker.Made, *, live: str) -> Version:
    config = sagemaker.describe_endpoint_config(session, made.name) or {}
    variants = config.get("ProductionVariants", [])
    models = [_container(session, variant.get("ModelName", "")) for variant in variants]
    return Version(
        config=made.name,
        created_at=made.created_at,
        model_data=tuple(model.get("ModelDataUrl", "") for model in models),
        image=tuple(model.get("Image", "gone") for model in models),
        variants=tuple(variant["VariantName"] for variant in variants),
        is_live=made.name == live,
    )


def _container(session: Session, model: str) -> dict[str, Any]:
    found = sagemaker.describe_model(session, model) or {}
    container: dict[str, Any] = found.get("PrimaryContainer", {})
    return container
