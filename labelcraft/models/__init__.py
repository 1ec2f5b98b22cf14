"""Recommenders, and the model that crafts their labels."""
