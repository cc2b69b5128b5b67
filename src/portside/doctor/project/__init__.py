"""A project before it is deployed: its configuration, code, requirements, model and image."""
