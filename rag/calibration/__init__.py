"""Journey C: labelled questions become a certificate."""
