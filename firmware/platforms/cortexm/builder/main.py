# SPDX-License-Identifier: Apache-2.0
"""PlatformIO build script of the `cortexm` platform: what PlatformIO runs for each environment.

The board manifest's `devicepipe` section is the one source of addresses: it becomes --defsym symbols for
link.ld and the generated header build_config.h. Identity and the trusted key come from the DEVICEPIPE_*
environment variables. The outputs depend on none of the paths involved.
"""

import base64
import binascii
import os
import shutil
import sys
from pathlib import Path

from SCons.Script import Builder, Default, DefaultEnvironment

ED25519_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")  # RFC 8410, section 4
STACK_SIZE = {"application": 2048, "bootloader": 4096}
TOOLS = "arm-none-eabi-"

env = DefaultEnvironment()
board = env.BoardConfig()
program = env.GetProjectOption("custom_program", "")
platform_dir = Path(env.PioPlatform().get_dir())
project_dir = Path(env.subst("$PROJECT_DIR"))
build_dir = Path(env.subst("$BUILD_DIR"))


def stop(message):
    """Ends the build with one plain sentence instead of a traceback."""
    sys.stderr.write("error: " + message + "\n")
    env.Exit(1)


def number(value):
    """A manifest integer: a JSON number or a string such as "0x8000"."""
    return value if isinstance(value, int) else int(value, 0)


def manifest(key):
    """An integer of the manifest's devicepipe section; the build stops if it is missing."""
    value = board.get("devicepipe." + key, None)
    if value is None:
        stop("board %s: boards/%s.json has no devicepipe.%s" % (env["BOARD"], env["BOARD"], key))
    return number(value)


def image_key():
    """The 32 raw bytes of the Ed25519 key the bootloader trusts, from a PEM SubjectPublicKeyInfo."""
    path = Path(os.environ.get("DEVICEPIPE_IMAGE_KEY") or project_dir.parent / ".devicepipe/keys/image.pub.pem")
    if not path.is_file():
        stop("no image key at %s: run `devicepipe keys`, or set DEVICEPIPE_IMAGE_KEY to a public key (PEM)" % path)
    lines = path.read_text(encoding="ascii", errors="replace").split()
    text = " ".join(lines)
    begin, end = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
    if not (text.startswith(begin) and text.endswith(end)):
        stop("image key %s: expected one PEM block '%s'" % (path, begin))
    try:
        der = base64.b64decode(text[len(begin) : -len(end)].replace(" ", ""), validate=True)
    except binascii.Error as error:
        stop("image key %s: bad base64 (%s)" % (path, error))
    if len(der) != len(ED25519_SPKI_PREFIX) + 32 or not der.startswith(ED25519_SPKI_PREFIX):
        stop("image key %s: expected an Ed25519 public key" % path)
    return der[len(ED25519_SPKI_PREFIX) :]


def identity(variable, default, allowed, length):
    """An identity string from the environment, limited to characters that are safe in a C string literal."""
    value = os.environ.get(variable) or default
    if len(value) not in length or not set(value) <= set(allowed):
        stop("%s=%r: expected %d to %d characters of %s" % (variable, value, length[0], length[-1], allowed))
    return value


def build_config():
    """The text of build_config.h for this board and program."""
    letters, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
    version = identity("DEVICEPIPE_VERSION", "0.0.0", letters + letters.upper() + digits + ".-+", range(5, 33))
    commit = identity("DEVICEPIPE_COMMIT", "0" * 40, digits + "abcdef", range(40, 41))
    kind = os.environ.get("DEVICEPIPE_KEY_KIND") or "development"
    if kind not in ("development", "production"):
        stop("DEVICEPIPE_KEY_KIND=%r: expected development or production" % kind)
    strings = {"BOARD_NAME": env["BOARD"], "BUILD_VERSION": version, "BUILD_COMMIT": commit, "KEY_KIND": kind}
    numbers = {
        "CPU_HZ": number(board.get("build.f_cpu").rstrip("L")),
        "CONSOLE_BAUD": manifest("console.baud"),
        "FLASH_BASE": flash_base,
        "FLASH_SIZE": manifest("flash.size"),
        "FLASH_PAGE_SIZE": manifest("flash.page"),
        "SLOT0_ADDRESS": flash_base + manifest("regions.slot0.offset"),
        "SLOT0_SIZE": manifest("regions.slot0.size"),
        "STATE_ADDRESS": flash_base + manifest("regions.state.offset"),
        "STATE_SIZE": manifest("regions.state.size"),
        "IMAGE_HEADER_SIZE": header_size,
        "RAM_BASE": manifest("ram.base"),
        "RAM_SIZE": manifest("ram.size"),
    }
    lines = ["/* Generated from the board manifest and DEVICEPIPE_*; do not edit. */", "#ifndef BUILD_CONFIG_H"]
    lines += ["#define BUILD_CONFIG_H"]
    lines += ['#define %s "%s"' % item for item in strings.items()]
    lines += ["#define %s 0x%xu" % item for item in numbers.items()]
    if program == "bootloader":
        lines.append("#define IMAGE_KEY_BYTES " + ", ".join("0x%02xu" % byte for byte in image_key()))
    return "\n".join(lines + ["#endif", ""])


if program not in STACK_SIZE:
    stop("[env:%s] custom_program: expected one of %s" % (env["PIOENV"], ", ".join(sorted(STACK_SIZE))))
if shutil.which(TOOLS + "gcc") is None:
    stop("%sgcc is not on PATH: install the Arm GNU toolchain (Debian: gcc-arm-none-eabi)" % TOOLS)
if not list((project_dir / "lib").glob("monocypher/monocypher.c")):
    stop("firmware/lib/monocypher is missing: run `devicepipe build`, or lay it down as soup.toml says")
if manifest("flash.erased") != 0xFF:
    stop("board %s: only flash that erases to 0xff is supported" % env["BOARD"])

flash_base = manifest("flash.base")
header_size = manifest("image.header-size")
if program == "bootloader":
    origin = flash_base + manifest("regions.bootloader.offset")
    length = manifest("regions.bootloader.size")
else:
    origin = flash_base + manifest("regions.slot0.offset") + header_size
    length = manifest("regions.slot0.size") - header_size
symbols = {
    "__flash_origin": origin,
    "__flash_length": length,
    "__ram_origin": manifest("ram.base"),
    "__ram_length": manifest("ram.size"),
    "__stack_size": STACK_SIZE[program],
}
board.update("upload.maximum_size", length)

generated = build_dir / "generated" / "build_config.h"
generated.parent.mkdir(parents=True, exist_ok=True)
config_text = build_config()
if not generated.is_file() or generated.read_text(encoding="ascii") != config_text:
    generated.write_text(config_text, encoding="ascii")

machine = ["-mcpu=" + board.get("build.cpu"), "-mthumb", "-masm-syntax-unified"]
link_script = platform_dir / "link.ld"
env.Replace(
    AR=TOOLS + "ar",
    AS=TOOLS + "gcc",
    CC=TOOLS + "gcc",
    LINK=TOOLS + "gcc",
    OBJCOPY=TOOLS + "objcopy",
    RANLIB=TOOLS + "ranlib",
    SIZETOOL=TOOLS + "size",
    ARFLAGS=["rcD"],
    RANLIBFLAGS=["-D"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPROGREGEXP=r"^(?:\.vectors|\.text|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.stack|\.data|\.bss|\.handover)\s+(\d+).*",
    COMPILATIONDB_PATH=str(build_dir / "compile_commands.json"),
)
env.Append(
    CPPPATH=[str(generated.parent)],
    CFLAGS=["-std=c11"],
    CCFLAGS=[
        *machine,
        "-Os",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-ffreestanding",
        "-fno-common",
        "-fno-tree-loop-distribute-patterns",  # else GCC turns memset's own loop into a call of memset
        "-ffunction-sections",
        "-fdata-sections",
        "-fstack-usage",
        "-ffile-prefix-map=%s=." % project_dir,
        "-ffile-prefix-map=%s=build" % build_dir,
    ],
    LINKFLAGS=[
        *machine,
        "-nostdlib",
        "-Wl,--gc-sections,--build-id=none,--fatal-warnings",
        "-Wl,-T," + str(link_script),
        "-Wl,-Map," + str(build_dir / "firmware.map"),
        *["-Wl,--defsym=%s=0x%x" % item for item in symbols.items()],
    ],
    LIBS=["gcc"],
    BUILDERS={
        output: Builder(suffix=suffix, action=env.VerboseAction("$OBJCOPY -O %s $SOURCES $TARGET" % output, "Building $TARGET"))
        for output, suffix in (("binary", ".bin"), ("ihex", ".hex"))
    },
)
env.Tool("compilation_db")

elf = env.BuildProgram()
env.Depends(elf, str(link_script))
stem = str(build_dir / "firmware")
outputs = [env.binary(stem, elf), env.ihex(stem, elf), env.CompilationDatabase("$COMPILATIONDB_PATH")]
env.AddPlatformTarget("size", elf, "$SIZETOOL -A -d $SOURCES", "Program size")
Default([env.Alias("buildprog", outputs), "checkprogsize"])
