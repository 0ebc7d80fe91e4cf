"""Python's garbage collector, held off while a program starts.

What is imported then, and what the screen is made of, stays for as long as the program runs. The collector walks
through it some three hundred times all the same: a sixth of the time to the screen's first paint, and, with torch, a
third of what a short command takes, since it walks once more through all of it at the end. A full walk later on would
hold the screen still for 50 to 100 ms.
"""

from __future__ import annotations

import gc

# Objects made before the youngest of them are looked at, and how often an older generation is passed over meanwhile.
# Python's own 700 lets it look thirty times a second while a curve is drawn, to find next to nothing.
THRESHOLDS = (20_000, 10, 10)


def hold_off() -> None:
    """Collect nothing until ``settle``."""
    gc.disable()


def settle() -> None:
    """What stands now stays, and is not looked at again; from here on the collector works as it should.

    Nothing happens where it was not held off, as in a test that runs one app after another.
    """
    if gc.isenabled():
        return
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()
