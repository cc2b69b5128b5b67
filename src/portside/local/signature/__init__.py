"""Who calls: SigV4 in all its forms, the keys, temporary credentials, and the words of a denial."""
