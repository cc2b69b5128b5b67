"""Whose a repository of images is, its tags and its end; what lies in it is `ecr`'s."""

from __future__ import annotations

from portside.aws.ecr import REPOSITORY_MISSING, Repository
from portside.aws.session import Session, explained
from portside.errors import RemoteError


def repository_tags(session: Session, repository: Repository) -> dict[str, str] | None:
    """The tags of a repository, or None where there is none."""
    try:
        arn = _arn(session, repository)
    except RemoteError as error:
        if error.code == REPOSITORY_MISSING:
            return None
        raise
    with explained("ecr", "ListTagsForResource"):
        tags = session.ecr.list_tags_for_resource(resourceArn=arn).get("tags", [])
    return {tag["Key"]: tag["Value"] for tag in tags}


def set_tags(
    session: Session, repository: Repository, *, tags: dict[str, str], removed: list[str]
) -> None:
    """Take tags away from a repository, and then put others on it, which may tell of the rest."""
    arn = _arn(session, repository)
    if removed:
        with explained("ecr", "UntagResource"):
            session.ecr.untag_resource(resourceArn=arn, tagKeys=removed)
    if tags:
        with explained("ecr", "TagResource"):
            session.ecr.tag_resource(
                resourceArn=arn,
                tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )


def delete_repository(session: Session, repository: Repository) -> None:
    """Remove a repository with all images in it; one that is gone already is no error."""
    try:
        with explained("ecr", "DeleteRepository"):
            session.ecr.delete_repository(
                registryId=repository.account, repositoryName=repository.name, force=True
            )
    except RemoteError as error:
        if error.code != REPOSITORY_MISSING:
            raise


def _arn(session: Session, repository: Repository) -> str:
    with explained("ecr", "DescribeRepositories"):
        found = session.ecr.describe_repositories(
            registryId=repository.account, repositoryNames=[repository.name]
        )
    return found["repositories"][0]["repositoryArn"]
