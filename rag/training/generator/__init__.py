"""A generator of one's own: cited examples, supervised tuning, preference pairs, preference tuning."""
