"""Optical density, stain vectors and one slide's stain constants."""
