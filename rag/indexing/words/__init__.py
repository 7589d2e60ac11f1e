"""BM25 over word segments of our own."""
