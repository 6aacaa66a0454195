"""Where in the file that is checked something happened."""

import traceback
from types import FrameType


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
