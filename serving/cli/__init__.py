"""The serving commands: each module parses, calls one function, prints and sets the exit code."""
