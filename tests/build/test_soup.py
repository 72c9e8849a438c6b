"""SOUP: the lock file, fetching through a simulated registry (a folder of archives), and laying down."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.build.archives import ArchiveError, read_members
from devicepipe.build.soup import SoupLock, fetch, lay_down, load_lock
from devicepipe.errors import BenchError, UsageError

LOCK = """\
[[component]]
name = "tiny"
version = "1.0"
supplier = "Nobody"
licence = "MIT OR Apache-2.0"
purl = "pkg:github/nobody/tiny@1.0"
cpe = "cpe:2.3:a:nobody:tiny:1.0:*:*:*:*:*:*:*"
archive = {{ registry = "pypi", package = "tinypkg", version = "1.0", filename = "tinypkg-1.0.tar.gz", sha256 = "{sha256}" }}

[component.files]
"lib/tiny/tiny.c" = "tinypkg-1.0/tiny.c"
"""

SETUP = """\
import pathlib
pathlib.Path({marker!r}).write_text("the archive's code was run")
from setuptools import setup
setup(name="tinypkg", version="1.0")
"""


def tar(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return packed.getvalue()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry in a folder: pip's own means to work without a network."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def sdist(tmp_path: Path) -> bytes:
    return tar(
        {
            "tinypkg-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: tinypkg\nVersion: 1.0\n",
            "tinypkg-1.0/setup.py": SETUP.format(marker=str(tmp_path / "executed")).encode(),
            "tinypkg-1.0/tiny.c": b"int tiny;\n",
        }
    )


WriteLock = Callable[..., SoupLock]


@pytest.fixture
def lock(tmp_path: Path) -> WriteLock:
    def write(content: bytes = b"", *, replace: tuple[str, str] = ("", "")) -> SoupLock:
        path = tmp_path / "soup.toml"
        text = LOCK.format(sha256=hashlib.sha256(content).hexdigest())
        path.write_text(text.replace(*replace) if replace[0] else text, encoding="utf-8")
        return load_lock(path)

    return write


def put_into_cache(cache: Path, content: bytes) -> None:
    (cache / "sha256").mkdir(parents=True, exist_ok=True)
    (cache / "sha256" / hashlib.sha256(content).hexdigest()).write_bytes(content)


# --- the lock file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defect", "line", "key", "message"),
    [
        (('supplier = "Nobody"\n', ""), 1, "component.0.supplier", "missing key"),
        (('version = "1.0"\nsup', 'size = 1\nversion = "1.0"\nsup'), 3, "component.0.size", "unknown key"),
        (("MIT OR Apache-2.0", "MITT"), 5, "component.0.licence", "SPDX licence expression"),
        (("pkg:github/nobody/tiny@1.0", "github.com/nobody"), 6, "component.0.purl", "package URL"),
        (("cpe:2.3:a:nobody", "cpe:2.3:nobody"), 7, "component.0.cpe", "CPE 2.3"),
        (("nobody/tiny@1.0", "nobody/tiny@9.9"), 6, "component.0.purl", "names version 9.9, but version is 1.0"),
        (("nobody:tiny:1.0", "nobody:tiny:9.9"), 7, "component.0.cpe", "names version 9.9, but version is 1.0"),
        (
            ('version = "1.0"\nsup', 'version = "1.0.1"\nsup'),
            7,
            "component.0.cpe",
            "names version 1.0, but version is 1.0.1",
        ),
        (('registry = "pypi"', 'registry = "ftp"'), 8, "component.0.archive.registry", "expected 'pypi'"),
        (("tinypkg-1.0.tar.gz", "../tinypkg-1.0.tar.gz"), 8, "component.0.archive.filename", "pattern"),
        (('package = "tinypkg"', 'package = "--index-url=x"'), 8, "component.0.archive.package", "pattern"),
        (('"lib/tiny/tiny.c"', '"lib/../../tiny.c"'), 11, "component.0.files.lib/../../tiny.c", "without '..'"),
        (('"lib/tiny/tiny.c"', '"/etc/tiny.c"'), 11, "component.0.files./etc/tiny.c", "relative path"),
        (('"tinypkg-1.0/tiny.c"', '"../tiny.c"'), 11, "component.0.files.lib/tiny/tiny.c", "without '..'"),
    ],
)
def test_mistake_in_the_lock_names_line_and_key(
    lock: WriteLock, defect: tuple[str, str], line: int, key: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        lock(replace=defect)
    assert (caught.value.line, caught.value.key) == (line, key)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("version", "purl", "cpe"),
    [
        ("v1.0", "pkg:github/nobody/tiny@1.0", "1.0"),
        ("12.2.1", "pkg:deb/debian/tiny@12.2.rel1-1", "12.2.1"),
        ("1.0-rc1", "pkg:github/nobody/tiny@1.0-rc1", "1.0"),
        ("1.0+a", "pkg:github/nobody/tiny", r"1.0\\+a"),
        ("1.0", "pkg:github/nobody/tiny@v1.0", "*"),
    ],
)
def test_one_version_in_the_form_of_each_name_is_taken(lock: WriteLock, version: str, purl: str, cpe: str) -> None:
    text = LOCK.replace('version = "1.0"\nsup', f'version = "{version}"\nsup')
    text = text.replace("pkg:github/nobody/tiny@1.0", purl).replace("nobody:tiny:1.0", f"nobody:tiny:{cpe}")
    (found,) = lock(
        replace=(LOCK.format(sha256=hashlib.sha256(b"").hexdigest()), text.format(sha256="0" * 64))
    ).components
    assert found.version == version


@pytest.mark.parametrize("name", ["tiny", "*", "../lib", ""])
def test_what_is_another_s_is_not_the_product_s_own(lock: WriteLock, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        lock(replace=("[[component]]", f'own-libraries = ["mine", "{name}"]\n[[component]]'))
    assert caught.value.key == "own-libraries.1"


def test_two_components_at_one_place_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "soup.toml"
    path.write_text(LOCK.format(sha256="0" * 64) * 2, encoding="utf-8")
    with pytest.raises(UsageError, match="already laid down by component 'tiny'"):
        load_lock(path)


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "soup.toml"
    path.write_text("[[component]]\nname = \n", encoding="utf-8")
    with pytest.raises(UsageError, match="not valid TOML") as caught:
        load_lock(path)
    assert caught.value.line == 2


# --- fetching -------------------------------------------------------------------------------------------------------


def test_archive_is_fetched_without_running_its_code(
    registry: Path, lock: WriteLock, sdist: bytes, tmp_path: Path
) -> None:
    (registry / "tinypkg-1.0.tar.gz").write_bytes(sdist)
    assert fetch(lock(sdist), tmp_path / "cache") == 1
    assert not (tmp_path / "executed").exists()
    digest = hashlib.sha256(sdist).hexdigest()
    assert (tmp_path / "cache" / "sha256" / digest).read_bytes() == sdist
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["sha256"]
    (registry / "tinypkg-1.0.tar.gz").unlink()
    assert fetch(lock(sdist), tmp_path / "cache") == 0  # from the cache, without the registry


def test_changed_archive_is_refused_with_the_hash_it_has(
    registry: Path, lock: WriteLock, sdist: bytes, tmp_path: Path
) -> None:
    (registry / "tinypkg-1.0.tar.gz").write_bytes(sdist + b"\0")
    changed = hashlib.sha256(sdist + b"\0").hexdigest()
    with pytest.raises(UsageError, match=f"has sha256 {changed}") as caught:
        fetch(lock(sdist), tmp_path / "cache")
    assert (caught.value.line, caught.value.key) == (8, "component.0.archive.sha256")
    assert not list((tmp_path / "cache" / "sha256").iterdir())


def test_missing_version_names_those_there_are(registry: Path, lock: WriteLock, sdist: bytes, tmp_path: Path) -> None:
    (registry / "tinypkg-1.1.tar.gz").write_bytes(sdist)
    with pytest.raises(UsageError, match=r"no source archive of version 1\.0(.|\n)*there are: 1\.1"):
        fetch(lock(sdist), tmp_path / "cache")


def test_no_registry_says_what_to_get_and_where_to_put_it(
    registry: Path, lock: WriteLock, sdist: bytes, tmp_path: Path
) -> None:
    with pytest.raises(BenchError) as caught:
        fetch(lock(sdist), tmp_path / "cache")
    digest = hashlib.sha256(sdist).hexdigest()
    assert "pip download --no-deps --no-binary tinypkg tinypkg==1.0" in caught.value.remedy
    assert str(tmp_path / "cache" / "sha256" / digest) in caught.value.remedy


def test_damaged_cache_entry_is_replaced(registry: Path, lock: WriteLock, sdist: bytes, tmp_path: Path) -> None:
    (registry / "tinypkg-1.0.tar.gz").write_bytes(sdist)
    put_into_cache(tmp_path / "cache", sdist)
    entry = tmp_path / "cache" / "sha256" / hashlib.sha256(sdist).hexdigest()
    entry.write_bytes(b"damaged")
    assert fetch(lock(sdist), tmp_path / "cache") == 1
    assert entry.read_bytes() == sdist


# --- laying down ----------------------------------------------------------------------------------------------------


def test_exactly_the_listed_files_are_laid_down(lock: WriteLock, sdist: bytes, tmp_path: Path) -> None:
    put_into_cache(tmp_path / "cache", sdist)
    (tmp_path / "project").mkdir()
    assert lay_down(lock(sdist), tmp_path / "cache", tmp_path / "project") == [tmp_path / "project/lib/tiny/tiny.c"]
    files = [path for path in (tmp_path / "project").rglob("*") if path.is_file()]
    assert files == [tmp_path / "project" / "lib" / "tiny" / "tiny.c"]
    assert files[0].read_bytes() == b"int tiny;\n"


def test_changed_file_is_restored_and_a_right_one_is_left_alone(lock: WriteLock, sdist: bytes, tmp_path: Path) -> None:
    put_into_cache(tmp_path / "cache", sdist)
    (file,) = lay_down(lock(sdist), tmp_path / "cache", tmp_path / "project")
    before = file.stat()
    lay_down(lock(sdist), tmp_path / "cache", tmp_path / "project")
    assert file.stat().st_ino == before.st_ino
    file.write_bytes(b"int changed;\n")
    lay_down(lock(sdist), tmp_path / "cache", tmp_path / "project")
    assert file.read_bytes() == b"int tiny;\n"


def test_archive_missing_from_the_cache_is_told(lock: WriteLock, sdist: bytes, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="not in the cache"):
        lay_down(lock(sdist), tmp_path / "cache", tmp_path)


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (tar({"tinypkg-1.0/other/tiny.c": b""}), "not in the archive; the archive has tinypkg-1.0/other/tiny.c"),
        (tar({}, {"tinypkg-1.0/tiny.c": "/etc/passwd"}), "is a link or special file"),
        (b"no archive", "cannot be read"),
    ],
    ids=["missing_member", "member_is_a_link", "not_an_archive"],
)
def test_bad_member_names_the_lock_file(lock: WriteLock, tmp_path: Path, archive: bytes, message: str) -> None:
    put_into_cache(tmp_path / "cache", archive)
    with pytest.raises(UsageError, match=message) as caught:
        lay_down(lock(archive), tmp_path / "cache", tmp_path / "project")
    assert caught.value.file == tmp_path / "soup.toml"
    assert not list(tmp_path.glob("project/**/*.c"))


def test_place_behind_a_link_out_of_the_project_is_refused(lock: WriteLock, sdist: bytes, tmp_path: Path) -> None:
    put_into_cache(tmp_path / "cache", sdist)
    (tmp_path / "outside" / "tiny").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "lib").symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="leads out of the project"):
        lay_down(lock(sdist), tmp_path / "cache", tmp_path / "project")
    assert not list((tmp_path / "outside" / "tiny").iterdir())


# --- archives -------------------------------------------------------------------------------------------------------


def test_doubled_tar_member_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for content in (b"first", b"second"):
            entry = tarfile.TarInfo("a.c")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (tmp_path / "a.tar").write_bytes(packed.getvalue())
    with pytest.raises(ArchiveError, match="more than once"):
        read_members(tmp_path / "a.tar", "a.tar", ["a.c"])


def test_zip_link_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("a.c")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ArchiveError, match="link"):
        read_members(tmp_path / "a.zip", "a.zip", ["a.c"])


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True), st.binary(max_size=200), min_size=1))
def test_members_come_back_as_they_were_packed(members: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("a.tar.gz", tar(members)), ("a.zip", zipped(members))):
            path = Path(folder) / name
            path.write_bytes(content)
            assert read_members(path, name, members) == members


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_an_archive_error_and_never_a_crash(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.tar.gz", "a.zip"):
            path = Path(folder) / name
            path.write_bytes(content)
            with pytest.raises(ArchiveError):
                read_members(path, name, ["a.c"])
