"""Take a fine-tuned model to a SageMaker endpoint, locally first."""

__version__ = "0.1.0"
