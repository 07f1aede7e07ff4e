"""The compiled core.

In a clone that was not built in place, its modules are those of the installed library, so that
Python started in the clone finds a library that works. All are from one folder, never some from
here and some from there.
"""

import os
import sys
from importlib.machinery import PathFinder

for _folder in (*__path__, *(os.path.join(entry, "fastweights", "_core") for entry in sys.path)):
    if PathFinder.find_spec("cpu", [_folder]):
        __path__[:] = [_folder]
        break
