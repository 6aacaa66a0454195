"""How untrusted text and arbitrary values are escaped and shortened: the one place for it.

Class names, file names, cells of a file and messages of other packages may hold anything: line
breaks, terminal sequences, markup, a million characters. Every message and page shows them through
these functions.
"""

from collections.abc import Sequence

_SPACES = "\xa0\u202f\u3000"  # no-break spaces, and that of Chinese and Japanese
_JOINERS = "\u200c\u200d"  # parts of words in Persian and Hindi, and of emoji


def printable(text: str) -> str:
    r"""The text on one line, with every character that does not print escaped.

    >>> print(printable("\x1b[31mred\n"))
    \x1b[31mred\n
    """
    if text.isprintable():
        return text
    return "".join(
        c
        if c.isprintable() or c in _SPACES or (c in _JOINERS and not before.isascii())
        else c.encode("unicode_escape", "surrogatepass").decode()
        for before, c in zip(" " + text, text, strict=False)
    )


def shorten(text: str, cells: int) -> str:
    r"""The printable text in at most `cells` cells of a terminal; "…" marks what is left out.

    >>> print(shorten("tab\there", 6), shorten("a long name", 6), shorten("鳥鳥鳥鳥", 6))
    tab\t… a lon… 鳥鳥…
    """
    import unicodedata

    text = printable(text[: cells + 1])  # every character takes at least one cell
    widths = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text]
    if sum(widths) <= cells:
        return text
    kept, room = 0, cells - 1  # one cell for "…"
    while widths[kept] <= room:
        room -= widths[kept]
        kept += 1
    return f"{text[:kept]}…"


def shorten_front(text: str, cells: int) -> str:
    """The end of the printable text in at most `cells` cells: there ids and paths differ.

    >>> print(shorten_front("images/0017.png", 9), shorten_front("鳥鳥鳥", 4))
    …0017.png …鳥
    """
    import unicodedata

    text = printable(text[-cells - 1 :])
    widths = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text]
    if sum(widths) <= cells:
        return text
    first = 0
    while sum(widths[first:]) > cells - 1:
        first += 1
    return f"…{text[first:]}"


def shown(value: object, limit: int = 60) -> str:
    r"""The repr of any value on one line of about `limit` characters; a text keeps its quotes.

    >>> print(shown("a\nb"), shown("y" * 99, 5), shown([1, 2, 3], 5))
    'a\nb' 'yyyy…' [1, …
    """
    if isinstance(value, str):
        return repr(value[:limit] if len(value) <= limit else f"{value[: limit - 1]}…")
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python converts
        text = f"a huge {type(value).__name__}"
    return shorten(" ".join(text.split()), limit)


def first_line(value: object, limit: int = 300) -> str:
    """The first line of a text or of an error's message; the error's type if it has no message.

    >>> first_line(ValueError("wrong shape\\nsee the docs")), first_line(EOFError())
    ('wrong shape', 'EOFError')
    """
    try:
        text = str(value).strip()
    except Exception:  # an error of someone else's class
        text = ""
    if not text and isinstance(value, BaseException):
        return type(value).__name__
    return shorten(text.partition("\n")[0].rstrip(), limit)


def few(items: Sequence[object], most: int = 5) -> str:
    """The first items, separated by commas; "…" stands for the rest.

    >>> few([0, 1, 2]), few(range(10), most=2)
    ('0, 1, 2', '0, 1, …')
    """
    return ", ".join(map(str, items[:most])) + (", …" if len(items) > most else "")


def plural(count: int, noun: str) -> str:
    """The number and the noun.

    >>> plural(1, "row"), plural(2, "class")
    ('1 row', '2 classes')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def as_html(text: str) -> str:
    """The printable text with the characters escaped that are markup in HTML and XML.

    >>> as_html("<b>cat</b>\\n")
    '&lt;b&gt;cat&lt;/b&gt;\\\\n'
    """
    import html

    return html.escape(printable(text))
