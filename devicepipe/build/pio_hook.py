"""Run inside PlatformIO's build as a `post:` extra script: put compilation database and link map where they are collected.

It changes nothing that the compiler sees. By default PlatformIO writes one compilation database for all environments, and asks
the linker for no map.
"""

from SCons.Script import DefaultEnvironment  # type: ignore[import-untyped]

env = DefaultEnvironment()
env.Replace(COMPILATIONDB_PATH="$BUILD_DIR/compile_commands.json")
if not any("-Map" in str(flag) for flag in env.get("LINKFLAGS", [])):
    env.Append(LINKFLAGS=["-Wl,-Map,$BUILD_DIR/${PROGNAME}.map"])
