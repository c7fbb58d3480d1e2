"""What the page shows, worked out as plain data: the parts, the dependencies, the answers to the four questions."""
