"""Evaluation of feeds: examination propensities, and systems compared point in time on logged impressions."""
