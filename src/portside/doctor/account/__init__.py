"""The AWS account that is deployed to."""
