"""What foreign code finds when it runs, and may change for the whole program: put back as it was afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def surroundings_kept() -> Iterator[None]:
    """Afterwards, what code may have changed when it was imported or called is as it was before.

    The current folder, to which the paths of options are relative; the permissions of new files; the depth of
    recursion; and of torch the number type and the device of new tensors, and whether gradients are computed.
    """
    folder, mask, depth = _folder(), os.umask(0o022), sys.getrecursionlimit()
    os.umask(mask)
    torch = sys.modules.get("torch")
    gradients = True if torch is None else torch.is_grad_enabled()
    try:
        yield
    finally:
        os.umask(mask)
        with suppress(RecursionError):  # Python refuses a limit that is below the current depth.
            sys.setrecursionlimit(depth)
        if folder and folder != _folder():
            with suppress(OSError):
                os.chdir(folder)
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_default_dtype(torch.float32)
            if torch.is_grad_enabled() != gradients:
                torch.set_grad_enabled(gradients)
            if torch.get_default_device().type != "cpu":
                torch.set_default_device(None)


def _folder() -> str:
    """The current folder; '' where it was deleted."""
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib has nothing for a folder that may be gone
    except OSError:
        return ""
