"""The well-known failures, a file for each place where they begin."""
