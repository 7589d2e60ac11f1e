"""The engine inside other frameworks; each module needs its own extra."""
