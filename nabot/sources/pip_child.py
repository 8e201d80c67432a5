"""`python -m pip`, but it ends when the process that started it does. Run as a script; in: pip's arguments.

A parent that is killed outright cannot stop its children, and a download would go on for nobody. The parent holds the
other end of standard input, and the system closes it for the dead: whoever reads it then sees the end.
"""

import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin: its lock, held by a daemon thread, is a fatal error when Python shuts down
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv[0] = "pip"
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
