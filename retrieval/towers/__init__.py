"""The papers' equations as pure functions: video, product and user vectors."""
