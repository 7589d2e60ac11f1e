"""Collections as they were published: how they lie in a folder, and the kinds of measurement that they are for."""
