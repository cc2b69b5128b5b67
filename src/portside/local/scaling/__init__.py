"""Application Auto Scaling that acts: the capacities of endpoints follow what is measured."""
