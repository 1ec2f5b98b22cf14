"""What the API remembers of users, behind one protocol: SQLite for one host, Redis or Valkey for several."""
