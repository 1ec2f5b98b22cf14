"""What a comparison of labels shows: its numbers, figures and page."""
