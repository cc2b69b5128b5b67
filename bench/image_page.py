"""The page's section about container images."""

from __future__ import annotations

from bench.image import ROUNDS, Build, ImageSpeed
from bench.table import number, table


def image_section(seen: ImageSpeed | None) -> str:
    """Its figures; nothing where it was not measured."""
    if seen is None:
        return ""

    def row(name: str, build: Build, sent: str = "-") -> tuple[str, ...]:
        return (name, number(build.seconds), sent, number(build.peak_bytes / 1e6))

    def pushed(name: str, build: Build) -> tuple[str, ...]:
        return row(name, build, f"{build.sent_bytes / 1e3:,.1f}")

    rows = (
        row("from an empty layout", seen.first),
        row("nothing changed", seen.unchanged),
        row("the code changed", seen.changed),
        row("for arm64, written as an OCI layout", seen.arm64),
        pushed("all pushed to an empty registry", seen.pushed),
        pushed("the code changed, pushed", seen.changed_pushed),
        pushed("nothing changed, pushed again", seen.pushed_again),
        pushed("a file of 1.5 GB that cannot be compressed, pushed", seen.large),
    )
    images = (
        ("podman", number(seen.podman_s), number(seen.podman_bytes / 1e6)),
        ("Portside", number(seen.first.seconds), number(seen.size_bytes / 1e6)),
    )
    return f"""## A project to a container image

`podman build --no-cache` of `bench/baseline/Dockerfile`, as a tutorial has it, beside
`portside build` of `examples/ner` with a handler: the same base, packages from caches on this
machine, no network. Both images were started with `serve` and the same model first: in
{seen.agreement.texts} texts both find the same {seen.agreement.entities} entities, scores at most
{seen.agreement.largest_score_difference:.1g} apart.

{table(("", "seconds", "size without the base (MB)"), images)}

`portside build`, start of the command included; of the first and of changed code the medians of
{ROUNDS}. Sent is what Debian's `docker-registry` kept. A clean build in another folder, under
another umask, of files of another time gave the same digest; skopeo says arm64 of arm64's.

{table(("", "seconds", "sent (kB)", "most memory (MB)"), rows)}"""
