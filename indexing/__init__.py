"""Media to vectors to snapshot: the offline jobs."""
