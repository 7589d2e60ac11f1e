"""Journey A: a corpus becomes an index."""
