"""VCG Conventional: given users, a video tower trained on what they watched, and the vectors that are served."""
