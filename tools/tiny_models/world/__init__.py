"""The small world that the bundled models know, and the grammar that talks about it."""
