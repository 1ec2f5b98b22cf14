"""The nouns, the towers and the search: what every other package of Lookreel stands on."""
