"""Limits of threadpoolctl, `with threadpool_limits(limits=1): …`, for the threads of this library.

threadpoolctl looks for libraries that it has been told about, and does so when a limit starts. So
`register` runs at import, and where threadpoolctl is imported later and no limit is to be missed,
once more.
"""

import sys
from typing import Any

from . import HOST, threads
from . import level as load


def register() -> bool:
    """Tell threadpoolctl about this library. Does nothing if threadpoolctl is not imported, or was
    told before. Returns whether its limits apply.

    In `threadpoolctl.threadpool_info()` the library is "softmaxloss", its user_api as well, for
    limits such as threadpool_limits({"softmaxloss": 1}).
    """
    global _told
    threadpoolctl = sys.modules.get("threadpoolctl")
    base = getattr(threadpoolctl, "LibController", None)
    if threadpoolctl is None or base is None or not hasattr(threadpoolctl, "register"):
        return False
    if load(HOST) == "reference":  # a shared library is what is looked for; NumPy has one thread
        return False
    if _told is not threadpoolctl:
        threadpoolctl.register(type("SoftmaxlossController", (_Methods, base), {}))
        _told = threadpoolctl
    return True


class _Restorable(int):
    """A number of threads that knows the limit it was asked under.

    At the end of a limit threadpoolctl sets every library to the number that it gave before, also a
    library which the limit was not about. As a plain number that would be one more limit.
    """

    limit: int | None


class _Methods:
    """What threadpoolctl asks of a controller."""

    user_api = "softmaxloss"
    internal_api = "softmaxloss"
    filename_prefixes = ("_cpu.",)
    check_symbols = ("softmaxloss_kernel",)

    def get_num_threads(self) -> int:
        number = _Restorable(threads.get_num_threads())
        number.limit = threads.get_limit()
        return number

    def set_num_threads(self, num_threads: int) -> None:
        if isinstance(num_threads, _Restorable):
            threads.set_limit(num_threads.limit)
        else:
            threads.set_limit(num_threads)

    def get_version(self) -> Any:
        return None


_told: Any = None  # the module that was told
register()
