"""Results of a slide: files of its output folder, file formats, pictures and HTML."""
