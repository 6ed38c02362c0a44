"""What a finished slide's folder holds, and how it is written."""
