"""What clinical text says."""
