"""Human grades: a local page that asks a person what the judge is asked, one video at a time."""
