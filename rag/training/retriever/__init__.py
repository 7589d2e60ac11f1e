"""Training the image-text model."""
