"""`/v2/`: what docker, podman and skopeo ask of the registry."""
