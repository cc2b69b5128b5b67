"""The life of an endpoint: desired → observe → plan → apply.

    portside.toml ──▶ desired ──▶ ┌──────┐
    artifact, image               │ plan │ ──▶ steps ──▶ apply ──▶ AWS or the local AWS
    the account   ──▶ observe ──▶ └──────┘       └─▶ price
                      (current)

A package each, from below: `desired` and `current` are two sets of values, `plan` their
difference, `price` what it costs; `apply` does the steps, `run` does so alone and on record.
`verify`, `rollback`, `removal` and `inventory` are what comes after.

Every name and every parameter is known before the first call: Models and
EndpointConfigs cannot be changed in SageMaker, so their names carry a digest of their
fields and a change makes new ones. An unchanged project plans nothing, a crashed
deployment resumes by running again, and AWS itself is the only state: what Portside
made carries its tags, and nothing without them is ever touched.
"""
