"""The workflow that `portside init --github-actions` writes.

pull request   test (on the local AWS) ─▶ plan, shown in the job's summary
push to main   test (on the local AWS) ─▶ deploy, with keys that GitHub's OIDC token is given
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from portside import __version__

PLACE: Final = PurePosixPath(".github/workflows/portside.yml")
"""From the repository's root on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What differs from project to project: paths are from the repository's root on."""

    project: PurePosixPath
    endpoints: Sequence[str]
    request: PurePosixPath
    others: Sequence[PurePosixPath] = ()
    """What the configuration names outside of the project's folder."""

    @property
    def paths(self) -> list[str]:
        """What the workflow runs for, if it changes: code, model, data, configuration, itself."""
        others = [pattern for path in self.others for pattern in (str(path), f"{path}/**")]
        return [str(self.project / "**"), f"!{self.project / '**/*.md'}", *others, str(PLACE)]


def text(workflow: Workflow) -> str:
    """The file."""
    invoke = "\n".join(
        f"          portside invoke {shlex.quote(name)} --file {shlex.quote(str(workflow.request))}"
        for name in workflow.endpoints
    )
    paths = "\n".join(f"      - {_scalar(path)}" for path in workflow.paths)
    filled = _TEMPLATE
    for mark, value in (
        ("@PATHS@", paths),
        ("@INVOKE@", invoke),
        ("@PROJECT@", _scalar(str(workflow.project))),
        ("@VERSION@", __version__),
        ("@EXTRAS@", "build,export,local"),
        ("@PLACE@", str(PLACE)),
    ):
        filled = filled.replace(mark, value)
    return filled


def _scalar(value: str) -> str:
    """A text as YAML takes it, whatever is in it: every text of JSON is one of YAML."""
    return json.dumps(value, ensure_ascii=False)


def repository_of(folder: Path) -> Path:
    """The root of the git repository around a folder; the folder itself where there is none."""
    found = folder.resolve()
    return next((each for each in (found, *found.parents) if (each / ".git").exists()), found)


_TEMPLATE: Final = """\
# Written by `portside init --github-actions`; yours to change.
#
# Settings > Secrets and variables > Actions > Variables:
#   AWS_REGION                where to deploy
#   PORTSIDE_PLAN_ROLE_ARN    the role that pull requests may look with
#   PORTSIDE_DEPLOY_ROLE_ARN  the role that `main` deploys with
# Their trust policies: docs/reference/ci.md of Portside.
name: portside

on:
  pull_request:
    paths:
@PATHS@
  push:
    branches: [main]
    paths:
@PATHS@
  workflow_dispatch:

# A new push to a pull request ends the run of the last one; a deployment is never cut short.
concurrency:
  group: portside-${{ github.ref }}
  cancel-in-progress: ${{ github.event_name == 'pull_request' }}

permissions:
  contents: read

env:
  # What `pip install` is given. Portside is on no package index yet, so put one of these here:
  #   ./wheels/portside-@VERSION@-py3-none-any.whl[@EXTRAS@]
  #   portside[@EXTRAS@] @ git+https://HOST/OWNER/portside@COMMIT
  # What stands here is for the day that it is, or for an index of your own (PIP_INDEX_URL).
  PORTSIDE: "portside[@EXTRAS@]==@VERSION@"
  PROJECT: @PROJECT@

jobs:
  test:
    name: Package, and answer on the local SageMaker
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
        with:
          lfs: true
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: @PLACE@
      - uses: actions/cache@v4
        with:
          path: ${{ env.PROJECT }}/.portside
          key: portside-@VERSION@-${{ hashFiles(format('{0}/**', env.PROJECT)) }}
          restore-keys: portside-@VERSION@-
      - name: Install
        run: pip install "$PORTSIDE"
      - name: Look for what would go wrong
        run: portside doctor "$PROJECT"
      - name: Package
        run: portside package "$PROJECT"
      - name: Deploy to the local SageMaker
        run: portside deploy "$PROJECT"
      - name: Ask for a prediction
        run: |
@INVOKE@
      - name: Stop the local SageMaker
        if: always()
        run: portside local stop

  plan:
    name: Plan
    needs: test
    # A fork gets no token for the role.
    if: github.event_name == 'pull_request' && github.event.pull_request.head.repo.fork == false
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    permissions:
      contents: read
      id-token: write
    steps:
      - uses: actions/checkout@v4
        with:
          lfs: true
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: @PLACE@
      - uses: actions/cache@v4
        with:
          path: ${{ env.PROJECT }}/.portside
          key: portside-@VERSION@-${{ hashFiles(format('{0}/**', env.PROJECT)) }}
          restore-keys: portside-@VERSION@-
      - name: Install
        run: pip install "$PORTSIDE"
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          role-to-assume: ${{ vars.PORTSIDE_PLAN_ROLE_ARN }}
          aws-region: ${{ vars.AWS_REGION }}
      - name: Plan, into the summary
        run: |
          {
            echo '## What merging would do'
            echo '```'
            NO_COLOR=1 portside plan "$PROJECT" --target aws 2>&1
            echo '```'
          } >> "$GITHUB_STEP_SUMMARY"

  deploy:
    name: Deploy
    needs: test
    if: github.event_name != 'pull_request' && github.ref == 'refs/heads/main'
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    environment: production
    permissions:
      contents: read
      id-token: write
    steps:
      - uses: actions/checkout@v4
        with:
          lfs: true
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: @PLACE@
      - uses: actions/cache@v4
        with:
          path: ${{ env.PROJECT }}/.portside
          key: portside-@VERSION@-${{ hashFiles(format('{0}/**', env.PROJECT)) }}
          restore-keys: portside-@VERSION@-
      - name: Install
        run: pip install "$PORTSIDE"
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          role-to-assume: ${{ vars.PORTSIDE_DEPLOY_ROLE_ARN }}
          aws-region: ${{ vars.AWS_REGION }}
      - name: Look for what would go wrong
        run: portside doctor "$PROJECT" --target aws
      - name: Deploy
        run: portside deploy "$PROJECT" --target aws
"""
