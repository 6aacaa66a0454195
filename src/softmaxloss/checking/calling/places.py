"""Where in the file that is checked an error was raised."""

import traceback


def place_of(error: BaseException) -> str:
    """The innermost line of the user's files on the way to an error, such as "line 12".

    The loader of a module knows how its lines are called: it has a method `place`. Empty where no
    module on the way has such a loader, as for a function that is passed to `check`.
    """
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        place = getattr(frame.f_globals.get("__loader__"), "place", None)
        if place is not None:
            found = place(frame.f_code.co_filename, line)
    return found
