"""Keep working while the things you depend on fail."""
