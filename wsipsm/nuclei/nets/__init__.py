"""Networks and the files that hold them."""
