"""The only door to AWS: one small typed file per service, over boto3.

    session ──▶ s3 · iam · sagemaker · runtime · logs · metrics

A target is a URL and a pair of keys, nothing else: nothing here knows whether AWS or
the local AWS answers. Names are snake_case on this side and AWS's on the wire; every
refusal becomes a `RemoteError` that says the service, the operation and the next step.
"""
