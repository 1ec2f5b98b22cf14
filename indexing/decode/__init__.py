"""Video decoding behind the FrameReader protocol, one adapter per library."""
