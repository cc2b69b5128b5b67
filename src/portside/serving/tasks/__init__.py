"""A checkpoint's own task: from the body of a request to its answer, around a backend."""
