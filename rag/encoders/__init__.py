"""Texts and images become unit vectors, float32 of shape (n, dim), each encoder with a fingerprint.

``protocols`` says what an encoder is, ``registry`` opens those that the settings name; vectors of different
fingerprints never meet in one search.
"""
