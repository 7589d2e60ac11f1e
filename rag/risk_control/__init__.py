"""Statistics of certified selection: numbers in, numbers out."""
