"""The HTTP face of Lookreel."""
