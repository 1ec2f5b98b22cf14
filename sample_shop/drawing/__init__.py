"""How garments are cut and painted: outlines in body units, cloth, light, people who wear them, photos."""
