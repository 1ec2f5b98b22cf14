"""What people do to a product, by name. It imports nothing, so that a client of the API can know it too."""

EVENTS = ("shown", "view", "click", "wishlist", "add_to_cart", "purchase", "return", "unwish")
