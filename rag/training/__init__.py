"""Training: the router."""
