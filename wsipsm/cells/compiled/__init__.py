"""Compiled loops over the pixels, runs and vertices of a window; imported only by the functions that call them."""
