"""PlatformIO projects to artifacts: builds, toolchain identity, fetched libraries, reproducibility."""
