"""Training the domain router."""
