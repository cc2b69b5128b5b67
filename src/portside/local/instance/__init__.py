"""One running copy of a container: as a process or a container, watched, limited, confined."""
