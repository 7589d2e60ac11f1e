"""Journey B: a question becomes an answer; and its replay."""
