"""What invocations were measured at, on its way to CloudWatch."""
