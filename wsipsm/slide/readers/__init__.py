"""One module a library that opens slides."""
