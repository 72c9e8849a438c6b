"""The smallest platform that builds for Cortex-M0. It makes no HEX file and no map: devicepipe has to derive them."""

from SCons.Script import Builder, Default, DefaultEnvironment  # type: ignore[import-untyped]

env = DefaultEnvironment()
tools = "arm-none-eabi-"
machine = ["-mcpu=cortex-m0", "-mthumb"]
script = env.PioPlatform().get_dir() + "/link.ld"
env.Replace(
    AR=tools + "ar",
    AS=tools + "gcc",
    CC=tools + "gcc",
    LINK=tools + "gcc",
    RANLIB=tools + "ranlib",
    OBJCOPY=tools + "objcopy",
    ARFLAGS=["rcD"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
)
env.Append(
    CCFLAGS=[
        *machine,
        *("-Os", "-g", "-Wall", "-ffreestanding", "-ffunction-sections", "-fdata-sections"),
        *(
            [f"-ffile-prefix-map={env.subst('$PROJECT_DIR')}=."]
            if env.GetProjectOption("custom_prefix_map", "yes") == "yes"
            else []
        ),
    ],
    LINKFLAGS=[
        *machine,
        *("-nostdlib", "-Wl,--gc-sections,--build-id=none", "-T", script),
        "-Wl,--defsym=flash_origin=" + env.GetProjectOption("custom_origin", "0"),
        "-Wl,--defsym=flash_length=" + env.GetProjectOption("custom_length", "0"),
    ],
    LIBS=["gcc"],
    BUILDERS={
        "binary": Builder(
            suffix=".bin", action=env.VerboseAction("$OBJCOPY -O binary $SOURCES $TARGET", "Building $TARGET")
        )
    },
)
program = env.BuildProgram()
Default(env.Alias("buildprog", env.binary("$BUILD_DIR/firmware", program)))
