"""What serves a variant: fleets that are always there, or instances that come when needed."""
