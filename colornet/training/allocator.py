"""Memory that tensors on a CPU leave stays with the process, for those of the next step."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of glibc's mallopt, named M_… in malloc.h


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed instead of returning it to the kernel, for the whole process; say whether it does.

    By default large blocks go back at once, and every step waits until the kernel has handed out the same pages again
    and filled them with zeros. The peak stays what it was where steps are alike. Other C libraries are left as they
    are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1))
