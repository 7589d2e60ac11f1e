"""Training: the retriever and the router."""
