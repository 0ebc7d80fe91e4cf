"""``python -m core``: the command line."""

import os
import sys

# Threads that wait for work spin before they sleep. libgomp's 300,000 turns are milliseconds: beside other processes, a
# training waits for spinning threads more than it trains. 1,000 turns keep nine tenths of the speed alone and give two
# to ten times the speed beside others. torch reads it while it loads, hence before the imports.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"

from core import output
from core.cli.main import main
from core.process import keep_freed_memory, pause_collection, speak_utf8

if __name__ == "__main__":
    speak_utf8()
    output.guard()
    keep_freed_memory()
    pause_collection()
    sys.exit(main())
