"""What runs the weights: arrays in, arrays out."""
