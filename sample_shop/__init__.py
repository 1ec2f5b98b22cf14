"""A small seeded shop with known truth: catalogue, filmed clips, shoppers and a biased feed."""
