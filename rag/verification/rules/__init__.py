"""What a quote says of a sentence, by rules."""
