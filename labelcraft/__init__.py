"""Logs to labels to trained recommenders."""
