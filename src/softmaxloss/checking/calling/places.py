"""Where in the file that is checked something happened."""

import traceback
from types import FrameType

from ...text import first_line


def error_line(error: BaseException) -> str:
    """The type and the message of an error, on one line, and the line of the file it is from."""
    # Not longer, so that the place is kept where lines are cut.
    name, message, place = type(error).__name__, first_line(error, 200), place_of(error)
    line = name if message == name else f"{name}: {message}"
    return f"{line} ({place})" if place else line


def place_of(error: BaseException) -> str:
    """The innermost line of the user's files on the way to an error, such as "line 12".

    Empty where no file is checked, as for a function that is passed to `check`.
    """
    places = (_place(frame, line) for frame, line in traceback.walk_tb(error.__traceback__))
    return next(filter(None, reversed(list(places))), "")


def place_in(frame: FrameType | None) -> str:
    """The innermost line of the user's files that runs in a frame; empty if there is none."""
    return next(filter(None, (_place(f, line) for f, line in traceback.walk_stack(frame))), "")


def _place(frame: FrameType, line: int) -> str:
    """How the loader of the module calls the line, if it has a name for it."""
    place = getattr(frame.f_globals.get("__loader__"), "place", None)
    return "" if place is None else str(place(frame.f_code.co_filename, line))
