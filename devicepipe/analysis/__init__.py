"""What can be said of code and images without running them: static analysis, ELF checks, SBOM."""
