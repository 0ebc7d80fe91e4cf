"""Python's garbage collector, held off where a person would feel it.

What is made until the first paint stays for as long as the app runs. The collector walks through it some three hundred
times all the same, which is a sixth of the time to the first paint; and a full walk later on holds the screen still
for 50 to 100 ms.
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
