"""From pixels to evidence of nuclei: networks, activation maps, pseudo masks."""
