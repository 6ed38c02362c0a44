"""What a worker does with a slide, in the order of its life."""
