"""What several tests use: slides made on the spot, clusters of real processes, readers of the field."""
