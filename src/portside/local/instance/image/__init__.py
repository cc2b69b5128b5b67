"""Images that were pushed to the local ECR: what they are, and how they become a process."""
