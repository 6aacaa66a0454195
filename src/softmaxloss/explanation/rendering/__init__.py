"""What the renderings share: numbers and class names as text, layout for a terminal, HTML."""
