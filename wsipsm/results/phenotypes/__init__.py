"""Phenotype clusters: cells of a cohort grouped by shape and stain without labels, as a frozen model."""
