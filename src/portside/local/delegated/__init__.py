"""What moto answers in this process, what outlives it, and what roles may do."""
