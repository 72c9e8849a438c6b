#!/usr/bin/env bash
# Everything `make test` and `make release` need: system packages, .venv from requirements.lock, the firmware's C libraries.
# With the argument `fuzz` also what `make fuzz` needs: a clang with libFuzzer.
# Run again, it finds everything done and says nothing. Where something cannot be had it names what is missing, how to get
# it, and stops with exit code 3.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
VENV=.venv
STAMP=$VENV/devicepipe-setup

fail() {
    printf 'setup: %s\n' "$1" >&2
    printf '  remedy: %s\n' "$2" >&2
    exit 3
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# --- system packages: a command (or file) to look for, and the Debian/Ubuntu package that has it -------------------------
missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need git git
need qemu-system-arm qemu-system-arm
need qemu-system-riscv32 qemu-system-misc
need riscv64-unknown-elf-gcc gcc-riscv64-unknown-elf
# The firmware's unit tests run on this computer.
need gcc gcc
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
[ -e /usr/include/cmocka.h ] || missing+=(libcmocka-dev)
# Its driver is tested with the real program and its simulated adapter.
need openocd openocd
# HTML documents are looked at, and searched, in a real browser.
need chromium chromium
# Accounts are also tested in a real server, which the tests start and stop.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null 2>&1 || missing+=(postgresql)
# Keys on tokens are tested with a real PKCS #11 module.
need softhsm2-util softhsm2
if [ "${1:-}" = fuzz ]; then
    need clang clang
    compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*' >/dev/null || missing+=(libclang-rt-dev)
fi
if command -v arm-none-eabi-gcc >/dev/null 2>&1; then
    [ -e "$(arm-none-eabi-gcc -print-file-name=nano.specs)" ] || missing+=(libnewlib-arm-none-eabi)
else
    missing+=(gcc-arm-none-eabi libnewlib-arm-none-eabi)
fi
if ! command -v "$PYTHON" >/dev/null 2>&1; then
    missing+=(python3 python3-venv)
elif [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$PYTHON is $("$PYTHON" -V), but Python 3.11 or later is needed" "install one and name it: PYTHON=python3.12 make ..."
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
fi

if [ ${#missing[@]} -gt 0 ]; then
    by_hand="apt-get install ${missing[*]} (or your system's packages of these names)"
    command -v apt-get >/dev/null 2>&1 || fail "missing: ${missing[*]}; there is no apt-get here" "$by_hand"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "missing: ${missing[*]}; installing them takes root or sudo" "as root: $by_hand"
        as_root=(sudo)
    fi
    printf 'setup: installing %s\n' "${missing[*]}" >&2
    { "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 </dev/null || { tail -n 15 "$log" >&2; fail "apt-get could not install ${missing[*]}" "$by_hand"; }
fi

# --- .venv: exactly what requirements.lock says, each file checked against its hash --------------------------------------
wanted=$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)
if [ "$(cat "$STAMP" 2>/dev/null || true)" != "$wanted" ]; then
    printf 'setup: making %s from requirements.lock\n' "$VENV" >&2
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    pip=("$VENV/bin/python" -m pip -qq --disable-pip-version-check --no-input)
    "${pip[@]}" install --require-hashes --no-deps -r requirements.lock ||
        fail "the packages of requirements.lock could not be installed" "see pip's message above; a package index must be reachable the first time"
    # setuptools comes from the lock, so nothing unlocked is fetched to build devicepipe itself.
    "${pip[@]}" install --no-deps --no-build-isolation --editable . >"$log" 2>&1 ||
        { cat "$log" >&2; fail "devicepipe itself could not be installed into $VENV" "see pip's message above"; }
    printf '%s\n' "$wanted" >"$STAMP"
fi

# --- the firmware's C libraries, by locked sha256 ------------------------------------------------------------------------
soup=$(sha256sum firmware/soup.toml | cut -d' ' -f1)
if [ "$(cat .devicepipe/soup-done 2>/dev/null || true)" != "$soup" ] || [ ! -d firmware/lib ]; then
    printf 'setup: fetching the C libraries of firmware/soup.toml\n' >&2
    "$VENV/bin/devicepipe" soup fetch >/dev/null
    printf '%s\n' "$soup" >.devicepipe/soup-done
fi
