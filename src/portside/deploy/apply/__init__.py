"""The steps, done: calls to AWS, and waits."""
