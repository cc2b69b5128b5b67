"""Why a container engine of this machine starts nothing."""

from __future__ import annotations

from typing import Final

from portside.doctor.log.symptom import symptom

ENGINE: Final = (
    symptom(
        "engine-limits",
        r"error setting rlimit|(\bcrun\b|OCI \w+|daemon).*(rlimit|ulimit)",
        cause="the engine may not set the limits that it starts every container with; it is not "
        "the image's fault",
        mend="lower them under `[containers]` of `/etc/containers/containers.conf`: "
        '`default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]`; or do without: '
        "`portside local start --engine process`",
        source="containers/podman#6668",
        is_whole=True,
    ),
    symptom(
        "engine",
        r"(\bcrun\b|\brunc\b|OCI (runtime|permission)|Error response from daemon).*"
        r"(cgroup|id_?map|subuid|namespace|seccomp|apparmor|sysctl|keyring|\bmount)"
        r"|permission denied while trying to connect to the Docker|cannot set up namespace"
        r"|no subuid ranges|cannot clone: Operation not permitted",
        cause="the engine cannot start containers on this machine; it is not the image's fault",
        mend="see what it says of an image that is known to work (`podman run --rm IMAGE true`), "
        "or do without: `portside local start --engine process`",
        source="containers/podman, troubleshooting.md",
        is_whole=True,
    ),
)
