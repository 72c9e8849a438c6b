# SPDX-License-Identifier: Apache-2.0
"""The generated header build_config.h, the same for every PlatformIO platform here: boards and the host.

The board manifest's `devicepipe` section is the one source of addresses and sizes; identity comes from the DEVICEPIPE_*
environment variables. The text depends on nothing else, and on no path.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TICK_MS = 10  # the control tick; firmware/PROTOCOL.md, "Delivery"
REGIONS = ("bootloader", "slot0", "slot1", "state", "config", "log", "library")
STACK_SIZE = {"application": 4096, "bootloader": 4096}
ERASED = 0xFF

_ED25519_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")  # RFC 8410, section 4
_LETTERS, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"


class ConfigError(Exception):
    """The manifest or the environment does not say what a build needs; the message is for people."""


class Manifest:
    """A board manifest: the whole PlatformIO board JSON, and its name."""

    def __init__(self, name: str, content: Mapping[str, Any]) -> None:
        self.name = name
        self._content = content

    def get(self, key: str, default: Any = None) -> Any:
        """What stands at a dotted key, e.g. "build.cpu"; `default` if nothing does."""
        found: Any = self._content
        for part in key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return default
            found = found[part]
        return found

    def number(self, key: str) -> int:
        """An integer of the devicepipe section: a JSON number or a string such as "0x8000".

        Raises:
            ConfigError: It is missing or is no integer.
        """
        value = self.get("devicepipe." + key)
        try:
            return value if isinstance(value, int) else int(value, 0)
        except (TypeError, ValueError):
            raise ConfigError(f"board {self.name}: boards/{self.name}.json has no devicepipe.{key}") from None

    @property
    def hertz(self) -> int:
        """The processor's clock."""
        return int(str(self.get("build.f_cpu")).rstrip("L"), 0)

    @property
    def plant_shares_console(self) -> bool:
        """Whether the plant link is multiplexed on the console's UART."""
        return self.number("links.plant.uart") == self.number("console.uart")


def image_key(path: Path) -> bytes:
    """The 32 raw bytes of the Ed25519 key that signs images, from a PEM SubjectPublicKeyInfo.

    Raises:
        ConfigError: There is no such key.
    """
    if not path.is_file():
        raise ConfigError(
            f"no image key at {path}: run `devicepipe keys`, or set DEVICEPIPE_IMAGE_KEY to a public key (PEM)"
        )
    text = " ".join(path.read_text(encoding="ascii", errors="replace").split())
    begin, end = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
    # RFC 7468 section 2 lets text stand before the block; development keys say there what they are.
    if text.count(begin) != 1 or not text.endswith(end):
        raise ConfigError(f"image key {path}: expected one PEM block '{begin}'")
    try:
        der = base64.b64decode(text.partition(begin)[2].removesuffix(end).replace(" ", ""), validate=True)
    except binascii.Error as error:
        raise ConfigError(f"image key {path}: bad base64 ({error})") from None
    if len(der) != len(_ED25519_SPKI_PREFIX) + 32 or not der.startswith(_ED25519_SPKI_PREFIX):
        raise ConfigError(f"image key {path}: expected an Ed25519 public key")
    return der[len(_ED25519_SPKI_PREFIX) :]


def build_config(manifest: Manifest, *, stack_size: int, key: bytes | None, environment: Mapping[str, str]) -> str:
    """The text of build_config.h.

    Args:
        manifest: The board's.
        stack_size: Bytes reserved for the stack.
        key: The raw public key that signs images, which only a bootloader is built with; None for an application.
        environment: Where DEVICEPIPE_VERSION, DEVICEPIPE_COMMIT and DEVICEPIPE_KEY_KIND are looked up.

    Raises:
        ConfigError: The manifest lacks something, or a variable holds something that must not stand in a C string.
    """
    if manifest.number("flash.erased") != ERASED:
        raise ConfigError(f"board {manifest.name}: only flash that erases to 0xff is supported")
    kind = environment.get("DEVICEPIPE_KEY_KIND") or "development"
    if kind not in ("development", "production"):
        raise ConfigError(f"DEVICEPIPE_KEY_KIND={kind!r}: expected development or production")
    strings = {
        "BOARD_NAME": manifest.name,
        "BUILD_VERSION": _identity(
            environment, "DEVICEPIPE_VERSION", "0.0.0", _LETTERS + _LETTERS.upper() + _DIGITS + ".-+", 5, 32
        ),
        "BUILD_COMMIT": _identity(environment, "DEVICEPIPE_COMMIT", "0" * 40, _DIGITS + "abcdef", 40, 40),
    }
    numbers = {
        "CPU_HZ": manifest.hertz,
        "TICK_MS": TICK_MS,
        "CONSOLE_BAUD": manifest.number("console.baud"),
        "PLANT_BAUD": manifest.number("links.plant.baud"),
        "PLANT_SHARES_CONSOLE": int(manifest.plant_shares_console),
        "WATCHDOG_MODELLED": int(manifest.get("devicepipe.watchdog", False) is True),
        "FLASH_BASE": manifest.number("flash.base"),
        "FLASH_SIZE": manifest.number("flash.size"),
        "FLASH_PAGE_SIZE": manifest.number("flash.page"),
        "IMAGE_HEADER_SIZE": manifest.number("image.header-size"),
        "RAM_BASE": manifest.number("ram.base"),
        "RAM_SIZE": manifest.number("ram.size"),
        "STACK_SIZE": stack_size,
    }
    for region in REGIONS:
        numbers[f"{region.upper()}_OFFSET"] = manifest.number(f"regions.{region}.offset")
        numbers[f"{region.upper()}_SIZE"] = manifest.number(f"regions.{region}.size")
    lines = ["/* Generated from the board manifest and DEVICEPIPE_*; do not edit. */", "#ifndef BUILD_CONFIG_H"]
    lines += ["#define BUILD_CONFIG_H"]
    lines += [f'#define {name} "{value}"' for name, value in strings.items()]
    lines += [f"#define {name} {value:#x}u" for name, value in numbers.items()]
    if key is not None:
        lines += [f'#define KEY_KIND "{kind}"', "#define IMAGE_KEY_BYTES " + ", ".join(f"{byte:#04x}u" for byte in key)]
    return "\n".join([*lines, "#endif", ""])


def write_if_changed(path: Path, text: str) -> None:
    """Write a generated file, but leave it alone if it says the same: nothing is compiled anew then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="ascii") != text:
        path.write_text(text, encoding="ascii")


def _identity(
    environment: Mapping[str, str], variable: str, default: str, allowed: str, shortest: int, longest: int
) -> str:
    """An identity string from the environment, limited to characters that are safe in a C string literal."""
    value = environment.get(variable) or default
    if not shortest <= len(value) <= longest or not set(value) <= set(allowed):
        length = str(longest) if shortest == longest else f"{shortest} to {longest}"
        raise ConfigError(f"{variable}={value!r}: expected {length} characters of {allowed}")
    return value
