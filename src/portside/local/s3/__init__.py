"""The object store: SeaweedFS or a store of the user's own, and artifacts fetched from it."""
