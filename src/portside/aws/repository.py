"""Whose a repository of images is, and its end; what lies in it is `ecr`'s."""

from __future__ import annotations

from portside.aws.ecr import REPOSITORY_MISSING, Repository
from portside.aws.session import Session, explained
from portside.errors import RemoteError


def repository_tags(session: Session, repository: Repository) -> dict[str, str] | None:
    """The tags of a repository, or None where there is none."""
    try:
        with explained("ecr", "DescribeRepositories"):
            found = session.ecr.describe_repositories(
                registryId=repository.account, repositoryNames=[repository.name]
            )
    except RemoteError as error:
        if error.code == REPOSITORY_MISSING:
            return None
        raise
    arn = found["repositories"][0]["repositoryArn"]
    with explained("ecr", "ListTagsForResource"):
        tags = session.ecr.list_tags_for_resource(resourceArn=arn).get("tags", [])
    return {tag["Key"]: tag["Value"] for tag in tags}


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
