"""Labels crafted from feedback: one file for each family, chosen by name everywhere."""
