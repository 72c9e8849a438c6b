import SCons.Script  # type: ignore[import-untyped]

SCons.Script.main()
