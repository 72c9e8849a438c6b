"""Run as a program: cppcheck's MISRA addon over each dump on its own, in one process.

    misra_each.py ADDON DUMP...

What the addon says of a dump goes to standard error, followed by a line "== EXIT CODE". Imports nothing of devicepipe, and Python
compiles the addon once.
"""

import importlib
import sys
from pathlib import Path


def main() -> None:
    """All dumps, in their order; a traceback of the addon ends it with exit code 1."""
    addon, *dumps = sys.argv[1:]
    sys.path.insert(0, str(Path(addon).parent))
    run = importlib.import_module(Path(addon).stem).main
    for dump in dumps:
        sys.argv = [addon, "--quiet", dump]
        code = 0
        try:
            run()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stderr.write(f"\n== {code}\n")


if __name__ == "__main__":
    main()
