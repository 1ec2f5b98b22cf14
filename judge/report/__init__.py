"""The report on judged feeds: one page that needs nothing beside it, its figure, and the same numbers as JSON."""
