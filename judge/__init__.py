"""Recommendations to grades: an LVLM as a judge."""
