"""A local page that shows the slides of an output folder with all their cells."""
