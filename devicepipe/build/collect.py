"""What a finished PlatformIO build leaves behind, gathered under the names it has in a bundle, and freed of this machine's paths.

What always holds: ELF, BIN and HEX are the files that PlatformIO made, untouched. Two are derived from the ELF where a
platform does not make them: a missing BIN as `objcopy -O binary` would, a missing HEX by `intelhex`. The link map and
the compilation database are rewritten: the build's folder becomes ".", PlatformIO's core folder "$PLATFORMIO_CORE_DIR",
the home folder "~", and entries that a platform lists twice stand once. Nothing else of them changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from intelhex import IntelHex

from devicepipe.build.elf_file import ElfFile, NotAnElf
from devicepipe.errors import ProductError
from devicepipe.evidence.predicates import Artifact, FirmwareBuild, MemoryUse
from devicepipe.project.board import Board
from devicepipe.signing.intel_hex import hex_text

Role = Literal["application", "bootloader"]

_SUFFIXES = {
    "elf": ".elf",
    "bin": ".bin",
    "hex": ".hex",
    "map": ".map",
    "compile-commands": ".compile_commands.json",
}


class PathCleaner:
    """Replaces a build's folder and this user's folders by fixed words; `private` holds a build's own home, if it has one."""

    def __init__(self, build_root: Path, core_dir: Path, private: Path | None = None) -> None:
        words = {} if private is None else {str(private): "~"}
        words |= {
            str(build_root): ".",
            str(build_root.resolve()): ".",
            str(core_dir): "$PLATFORMIO_CORE_DIR",
            str(core_dir.resolve()): "$PLATFORMIO_CORE_DIR",
            str(Path.home()): "~",
        }
        # Longest first: the build's folder may lie in the home folder.
        self._words = [
            (path, word) for path, word in sorted(words.items(), key=lambda item: -len(item[0])) if path != "/"
        ]

    def clean(self, text: str) -> str:
        """The text with each folder's name replaced where it stands as a whole path component."""
        for path, word in self._words:
            text = re.sub(re.escape(path) + r"(?![\w.+-])", word, text)
        return text


def collect_firmware(
    *,
    role: Role,
    environment: str,
    build_dir: Path,
    board: Board,
    output: Path,
    cleaner: PathCleaner,
    data: Mapping[str, str] | None = None,
) -> FirmwareBuild:
    """Copy one environment's outputs to `output`/images/<board>/<role>.* and measure them.

    Args:
        role: Application or bootloader.
        environment: The PlatformIO environment.
        build_dir: Its build folder.
        board: Whose memories and regions limit it.
        output: Folder of the bundle under construction.
        cleaner: For the map and the compilation database.
        data: By name, the files beside the program that become data images; kept as images/<board>/<name>.bin.

    Raises:
        ProductError: No linked program or data file, or it does not fit its region or the RAM.
    """
    elf_path = _program(build_dir, environment)
    content = elf_path.read_bytes()
    try:
        elf = ElfFile(content)
        files = _images(elf_path, content, elf)
    except NotAnElf as error:
        raise ProductError(f"environment {environment}: {elf_path.name} is not a linked program: {error}") from error
    files["map"] = cleaner.clean(
        _only(build_dir, ".map", elf_path.stem, environment).read_text("utf-8", "replace")
    ).encode()
    files["compile-commands"] = cleaner.clean(_database(build_dir, environment).read_text("utf-8")).encode()
    names = {kind: f"{role}{suffix}" for kind, suffix in _SUFFIXES.items()}
    for name, file in (data or {}).items():
        files[f"data/{name}"] = _data(build_dir / file, environment)
        names[f"data/{name}"] = f"{name}.bin"
    folder = output / "images" / board.name
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = []
    for kind, name in names.items():
        target = folder / name
        target.write_bytes(files[kind])
        artifacts.append(
            Artifact(
                role=kind,
                path=target.relative_to(output).as_posix(),
                sha256=hashlib.sha256(files[kind]).hexdigest(),
                size=len(files[kind]),
            )
        )
    firmware = FirmwareBuild(
        role=role,
        environment=environment,
        artifacts=artifacts,
        flash=MemoryUse(used=elf.flash_used(board.flash.base, board.flash.size), limit=flash_limit(board, role)),
        ram=MemoryUse(used=elf.ram_used(board.ram.base, board.ram.size), limit=board.ram.size),
    )
    _check_limits(board, firmware)
    return firmware


def flash_limit(board: Board, role: Role) -> int:
    """Bytes a firmware may occupy: an application its slot less the image header, a bootloader its region."""
    if role == "application":
        return board.slot0.size - board.image.header_size
    return board.regions["bootloader"].size


def _check_limits(board: Board, firmware: FirmwareBuild) -> None:
    for memory, use in (("flash", firmware.flash), ("RAM", firmware.ram)):
        if use.used > use.limit:
            raise ProductError(
                f"{firmware.role} of {board.name} (environment {firmware.environment}) does not fit: it uses {use.used} bytes of "
                f"{memory}, {use.used - use.limit} more than the {use.limit} there are",
                remedy="make it smaller, or enlarge its region in the board manifest",
            )


def _images(elf_path: Path, content: bytes, elf: ElfFile) -> dict[str, bytes]:
    files = {"elf": content}
    flat, text = elf_path.with_suffix(".bin"), elf_path.with_suffix(".hex")
    files["bin"] = flat.read_bytes() if flat.is_file() else elf.flat()
    files["hex"] = text.read_bytes() if text.is_file() else _intel_hex(elf)
    return files


def _intel_hex(elf: ElfFile) -> bytes:
    image = IntelHex()
    for address, content in elf.contents():
        image.puts(address, content)
    return hex_text(image).encode("ascii")


def _program(build_dir: Path, environment: str) -> Path:
    """The linked program: firmware.elf, program.elf, program (native platforms), or the only other ELF there is."""
    for name in ("firmware.elf", "program.elf", "program"):
        if (build_dir / name).is_file():
            return build_dir / name
    return _only(build_dir, ".elf", "", environment)


def _only(build_dir: Path, suffix: str, stem: str, environment: str) -> Path:
    if stem and (build_dir / f"{stem}{suffix}").is_file():
        return build_dir / f"{stem}{suffix}"
    found = sorted(build_dir.glob(f"*{suffix}"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    raise ProductError(
        f"environment {environment}: expected one {suffix} file in its build folder, found {names}",
        remedy="let the PlatformIO platform or an extra script link one program per environment",
    )


def _data(path: Path, environment: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if not content:
        raise ProductError(
            f"environment {environment}: it made no {path.name} beside the program, or an empty one",
            remedy="let an extra script of the project make it, or correct [[data]] artifact in devicepipe.toml",
        )
    return content


def _database(build_dir: Path, environment: str) -> Path:
    """The compilation database, with doubled entries removed in place and entries sorted."""
    path = build_dir / "compile_commands.json"
    if not path.is_file():
        raise ProductError(
            f"environment {environment}: PlatformIO made no compilation database",
            remedy="do not set COMPILATIONDB_PATH in an extra script of the project",
        )
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    unique = {(entry["file"], entry.get("output", "")): entry for entry in entries}
    path.write_text(json.dumps([unique[key] for key in sorted(unique)], indent=1) + "\n", encoding="utf-8")
    return path


def clean_log(log: Path, cleaner: PathCleaner) -> None:
    """Rewrite a build log without this machine's paths; it becomes evidence."""
    text = log.read_text(encoding="utf-8", errors="replace")
    temporary = log.with_suffix(".part")
    temporary.write_text(cleaner.clean(text), encoding="utf-8")
    temporary.replace(log)
