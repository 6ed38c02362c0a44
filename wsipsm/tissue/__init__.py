"""Where on a slide to look, and how the plane is cut into tiles."""
