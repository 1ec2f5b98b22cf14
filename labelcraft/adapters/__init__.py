"""One reader for each kind of log: its columns become those of `raw`."""
