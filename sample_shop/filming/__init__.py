"""How clips are filmed: a creator's look, the plan of the shots, their sets, and the camera before them."""
