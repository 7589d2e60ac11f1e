"""What was answered stays on record: a hash chain of entries that can be checked, redacted, exported and reported."""
