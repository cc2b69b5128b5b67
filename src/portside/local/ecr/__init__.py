"""The local ECR: repositories and images in the data folder, by two doors.

    boto3, AWS CLI, Portside ──SigV4──▶ gateway ─▶ services ────────┐
      UploadLayerPart, PutImage …                                   ├─▶ uploads ─▶ blob store
    docker, podman, skopeo ───Basic───▶ gateway ─▶ distribution ────┤   images  ─▶ catalog
      /v2/…/blobs, /v2/…/manifests                                  ┘                │
    endpoints, CreateModel ──────────────────────▶ image store ◀─────────────────────┘

Start reading at `registry`, which puts it together. `catalog` (SQLite) says what there is and whom
it belongs to, `blob_store` holds the bytes, each blob once whoever has it. A row is written when
its blob is whole, and a blob goes when no row needs it. Source: botocore's model of `ecr`, the OCI
distribution specification 1.1; the words are in `refusal`.
"""
