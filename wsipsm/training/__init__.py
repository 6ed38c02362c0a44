"""Training without annotations: slide samples, pseudo labels, self-training of the segmenter."""
