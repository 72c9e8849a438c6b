#!/usr/bin/env bash
# Runs TUF's conformance suite against the client of `devicepipe pull`. The suite is fetched as of one commit, or taken from the
# folder that is named; it takes git and faketime.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
COMMIT=eec841c186f81f2d9d8d30460c7e7deefa615f9e
SUITE=${1:-.devicepipe/cache/tuf-conformance}

command -v faketime >/dev/null || { echo "faketime is missing: apt-get install faketime" >&2; exit 3; }
if [ ! -d "$SUITE" ]; then
    git clone --quiet https://github.com/theupdateframework/tuf-conformance "$SUITE.new"
    git -C "$SUITE.new" checkout --quiet "$COMMIT"
    mv "$SUITE.new" "$SUITE"
fi
cd "$SUITE"
PYTHONPATH=$ROOT exec "$ROOT/.venv/bin/python" -m pytest -q -p no:cacheprovider -W ignore tuf_conformance \
    --entrypoint "$ROOT/.venv/bin/python $ROOT/tests/distribution/conformance_client.py"
