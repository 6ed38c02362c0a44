"""What the process that local workers are forked from imports, without a search for garbage at every step.

Modules make objects by the hundred thousand and drop none of them: looking for some takes a fifth of the import.
"""

from __future__ import annotations

import contextlib
import gc
from importlib import import_module

gc.disable()
with contextlib.suppress(Exception):  # what cannot be imported fails again in a worker or the client, which says so
    import_module("wsipsm.engine.tasks.rehearsal")
gc.freeze()  # what is here by now is collected by no worker, which would copy it
gc.enable()
