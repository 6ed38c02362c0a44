"""What all other packages use: errors, geometry, files, locks, versions and the format of the maps."""
