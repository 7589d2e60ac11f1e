"""Passages for a question: channels of search, their fusion by rank, and the router that says in which domains."""
