"""What training left in a folder, read and checked; `checkpoint` is the way in."""
