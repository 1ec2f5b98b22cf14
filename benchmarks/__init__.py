"""One module for each claim; each measures both sides in one run, prints a table and can print JSON."""
