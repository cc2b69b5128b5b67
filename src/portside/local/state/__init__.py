"""What the local SageMaker knows, as values and in one SQLite file."""
