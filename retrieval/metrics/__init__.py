"""Ranking, coherence and interval statistics as pure functions."""
