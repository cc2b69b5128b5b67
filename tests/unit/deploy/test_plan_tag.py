"""Tags in a plan: the config's reach all that is the project's, and others' stay."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from portside.config import Endpoint, Serverless
from portside.deploy.current.current import Current
from portside.deploy.desired import tag
from portside.deploy.desired.resources import TAG_KEYS, TAG_VERIFIED, Desired
from portside.deploy.plan.plan import plan
from portside.deploy.plan.step import Step
from tests.unit.deploy.deploy_parts import IMAGE, reached, said, wanted

TAGS = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=3), max_size=5)


def of(tags: dict[str, str], **settings: str) -> Desired:
    endpoint = Endpoint(name="ner", settings=Serverless(tags=tags, **settings))  # type: ignore[arg-type]  # of text alone
    return wanted(endpoint, image=IMAGE)


def asked(wish: Desired) -> Current:
    """The account in which a wish is reached, with the tags of all of it."""
    state = reached(wish)
    return dataclasses.replace(
        state,
        models={
            name: dataclasses.replace(now, tags=wish.models[name].tags)
            for name, now in state.models.items()
        },
        configs={
            name: dataclasses.replace(now, tags=wish.configs[name].tags)
            for name, now in state.configs.items()
        },
    )


def tagged_by_others(state: Current) -> Current:
    """With a tag on everything that a cost tool has set."""
    return dataclasses.replace(
        state,
        **{
            what: {
                name: dataclasses.replace(now, tags=now.tags | {"cost": "42"})
                for name, now in getattr(state, what).items()
            }
            for what in ("roles", "models", "configs", "endpoints")
        },
        repositories={name: tags | {"cost": "42"} for name, tags in state.repositories.items()},
    )


def changed(step: Step) -> dict[str, object]:
    return {change.field: change.new for change in step.changes if change.field != TAG_KEYS}


def test_tags_of_others_are_left_alone() -> None:
    wish = of({"team": "search"})

    assert plan(wish, tagged_by_others(asked(wish))) == ()


def test_a_tag_that_the_config_no_longer_has_goes_and_those_of_others_stay() -> None:
    before, after = of({"team": "search", "stage": "test"}), of({"team": "ads"})

    steps = plan(after, tagged_by_others(asked(before)))

    assert [changed(step) for step in steps] == [{"stage": None, "team": "ads"}] * len(steps)


def test_tags_reach_all_that_the_project_has_and_the_endpoint_last() -> None:
    """Whoever is cut finds the endpoint's as they were, and sets the others once more."""
    steps = plan(of({"team": "search"}), asked(of({})))

    assert said(steps) == [
        ("tag", "repository"),
        ("tag", "role"),
        ("tag", "Model"),
        ("tag", "EndpointConfig"),
        ("tag", "Endpoint"),
    ]
    assert {step.changes[-1].new for step in steps} == {"search"}


def test_what_endpoints_share_has_the_tags_that_all_of_them_have() -> None:
    wish = wanted(
        Endpoint(name="ner-a", settings=Serverless(tags={"team": "search", "stage": "test"})),
        Endpoint(name="ner-b", settings=Serverless(tags={"team": "search", "stage": "live"})),
        image=IMAGE,
    )

    (tags,) = reached(wish).repositories.values()

    assert tags.keys() == {"team", "portside:project", TAG_KEYS}


def test_a_time_to_live_that_is_taken_back_goes() -> None:
    (step,) = plan(of({}), asked(of({}, ttl="7d")))

    assert changed(step) == {"portside:ttl": None}


@given(TAGS, TAGS, TAGS)
def test_what_is_set_and_taken_away_leads_to_the_wish_and_keeps_the_rest(
    old: dict[str, str], new: dict[str, str], others: dict[str, str]
) -> None:
    foreign = {key: value for key, value in others.items() if key not in old}
    now = foreign | tag.recorded(old) | {TAG_VERIFIED: "c"}
    wish = tag.recorded(new)

    for key in tag.removed(wish, now):
        del now[key]
    now |= tag.added(wish, now)

    assert now == foreign | wish | {TAG_VERIFIED: "c"}
    assert not tag.added(wish, now)
    assert not tag.removed(wish, now)


def test_the_record_of_forty_tags_fits_a_tag() -> None:
    record = tag.recorded({f"key-{number}": "" for number in range(40)})[TAG_KEYS]

    assert len(record) <= 256
