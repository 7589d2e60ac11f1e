"""Training the reranker: MiniLM learns, from questions with known passages, which passages answer."""
