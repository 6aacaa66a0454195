"""What the renderings share: numbers and class names as text, layout for a terminal, HTML.

`numbers.py` and `names.py` load NumPy alone, `terminal.py` loads rich. `html.py` writes what every
page is made of, with the styles of `page.css`.
"""
