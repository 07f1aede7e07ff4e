"""The compiled core.

In a clone that was not built in place, its modules are those of the installed library, so that
Python started in the clone finds a library that works.
"""

import os
import sys

__path__ += [
    folder
    for folder in (os.path.join(entry, "fastweights", "_core") for entry in sys.path)
    if folder not in __path__ and os.path.isdir(folder)
]
