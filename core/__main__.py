"""``python -m core``: the headless twin of the playground."""

import os
import sys

# Threads that wait for work spin before they sleep. libgomp's 300,000 turns are milliseconds: beside anything else that
# computes, a training waits for spinning threads more than it trains. 1,000 turns keep nine tenths of the speed alone
# and give two to ten times as much of it in company. Read when torch is loaded, hence before the imports.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"

from core import collector, output
from core.cli.parser import main
from core.memory import keep_freed_memory
from core.process import speak_utf8

if __name__ == "__main__":
    speak_utf8()
    output.guard()
    keep_freed_memory()
    collector.hold_off()
    sys.exit(main())
