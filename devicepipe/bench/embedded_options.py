"""pytest-embedded's options in a device session: each keeps its meaning or is refused; none is silently without effect."""

from __future__ import annotations

import pytest

_DEVICE = "the device and its ports are those of bench.toml"
_IMAGES = "the images under test are those of the build"
_LOGS = "logs are the session's, one raw serial log for each UART"

_REFUSED = {
    "port": _DEVICE,
    "port_location": _DEVICE,
    "baud": _DEVICE,
    "app_path": _IMAGES,
    "build_dir": _IMAGES,
    "root_logdir": _LOGS,
    "logfile_extension": _LOGS,
    "cache_dir": "a device is made as new for each test, and nothing of it is cached",
}
# Of services that flash, debug or emulate by themselves; here the device does.
_OF_OTHER_SERVICES = (
    "target", "beta_target", "flash_port", "skip_autoflash", "erase_all", "esptool_baud", "port_mac", "port_serial_number",
    "esp_flash_force", "no_fast_flash", "supported_targets", "preview_targets", "part_tool", "confirm_target_elf_sha256",
    "erase_nvs", "skip_check_coredump", "gdb_prog_path", "gdb_cli_args", "no_gdb", "openocd_prog_path", "openocd_cli_args",
    "qemu_image_path", "qemu_prog_path", "qemu_cli_args", "qemu_extra_args", "qemu_efuse_path", "skip_regenerate_image",
    "encrypt", "keyfile", "espemu_image_path", "espemu_prog_path", "espemu_cli_args", "espemu_extra_args", "wokwi_diagram",
)  # fmt: skip
_DEFAULTS = {"logfile_extension": ".log"}


def refuse_options(config: pytest.Config) -> None:
    """Refuse what would have no effect.

    Raises:
        pytest.UsageError: An option of pytest-embedded that means something else than a device session does.
    """
    if config.getoption("count", 1) != 1:
        raise pytest.UsageError("a device session has one device: run it without --count")
    demand_service(config.getoption("embedded_services", "") or "serial")
    reasons = _REFUSED | dict.fromkeys(
        _OF_OTHER_SERVICES, "it belongs to a service of pytest-embedded that is not used here"
    )
    for name, why in reasons.items():
        if config.getoption(name, None) not in (None, False, _DEFAULTS.get(name)):
            raise pytest.UsageError(f"--{name.replace('_', '-')} has no meaning in a device session: {why}")


def demand_service(services: str) -> None:
    """Refuse services but `serial`, on the command line or as a parameter of a test."""
    if services.strip() != "serial":
        raise pytest.UsageError(
            f"pytest-embedded's service here is 'serial', not '{services}': the device does the rest"
        )
