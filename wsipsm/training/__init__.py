"""Learning without labels: patches, the self-supervised task, and the fit of one slide."""
