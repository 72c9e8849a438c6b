#!/usr/bin/env python
"""Our TUF client behind the command line that tuf-conformance calls (its CLIENT-CLI.md): `make tuf-conformance` runs that suite.

What is called is `devicepipe.distribution.client`, as `devicepipe pull` calls it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import quote

from devicepipe.distribution.client import FIRST_ROOT, Client, WebFetcher
from devicepipe.errors import DevicepipeError


def main() -> int:
    """Do what the suite asks for; 1 where our client refuses."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-url")
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-dir", type=Path)
    parser.add_argument("--target-base-url")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("trusted_root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    given = parser.parse_args()
    first = given.metadata_dir / FIRST_ROOT
    if given.command == "init":
        first.write_bytes(given.trusted_root.read_bytes())
        return 0
    try:
        targets_url = given.target_base_url or given.metadata_url
        client = Client(given.metadata_dir, first.read_bytes(), given.metadata_url, targets_url, WebFetcher())
        client.refresh()
        for name in given.target_name:
            target = client.find(name)
            if target is None:
                sys.stderr.write(f"there is no target {name}\n")
                return 1
            client.download(target, given.target_dir / quote(name, ""))
    except DevicepipeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
