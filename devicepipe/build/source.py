"""The commit that is built, and clean copies of it.

What always holds: an exported tree holds the commit's files and nothing else (or, dirty, the files that git would see: tracked,
and untracked but not ignored), so that a build can never use a file that the commit does not name.

Limits: submodules are refused, and so are files that `.gitattributes` leaves out of archives (export-ignore): the copy
would silently differ from the commit.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.facts import utc_text
from devicepipe.evidence.names import address

_SUBMODULE = "160000"
_VERSION_TAG = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(?:\+[0-9]+)?")
_PERSON = re.compile(r"^(?:author|committer) .*<([^<>\n]*)>", re.MULTILINE)
_CO_AUTHOR = re.compile(r"^[ \t]*co-authored-by[ \t]*:(.*(?:\n[ \t]+\S.*)*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Commit:
    """A commit and how the working tree differs from it.

    Attributes:
        id: 40 hexadecimal digits.
        epoch: Commit time in seconds since 1970-01-01 UTC: the build's SOURCE_DATE_EPOCH.
        dirty: Changed, deleted and untracked (not ignored) paths below the root, sorted.
    """

    id: str
    epoch: int
    dirty: tuple[str, ...]

    @property
    def time(self) -> str:
        """Commit time in RFC 3339, UTC."""
        return utc_text(datetime.fromtimestamp(self.epoch, UTC))


def read_commit(root: Path) -> Commit:
    """The commit that is checked out at a product's root (a repository, or a folder in one).

    Raises:
        UsageError: Not a git repository, or one without a commit.
        BenchError: git is not installed.
    """
    identity = _git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", refused="has no commit yet")
    epoch = int(_git(root, "show", "--no-patch", "--format=%ct", "HEAD"))
    prefix = _git(root, "rev-parse", "--show-prefix").strip()
    return Commit(id=identity.strip(), epoch=epoch, dirty=_changed(root, prefix))


def _changed(root: Path, prefix: str) -> tuple[str, ...]:
    status = _git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", ".")
    return tuple(sorted(entry[3:].removeprefix(prefix) for entry in status.split("\0") if entry))


def commit_of(root: Path, revision: str) -> Commit:
    """The commit that a revision names (a branch, a tag, HEAD~3, an id), as if it were checked out.

    Raises:
        UsageError: Not a git repository, or no such revision.
        BenchError: git is not installed.
    """
    if revision.startswith("-"):
        raise UsageError(f"'{revision}' is no revision")
    refused = f"there is no commit '{revision}'"
    said = _git(
        root,
        "rev-parse",
        "--verify",
        "--quiet",
        f"{revision}^{{commit}}",
        refused=refused,
        remedy="see `git log --oneline`",
    )
    epoch = int(_git(root, "show", "--no-patch", "--format=%ct", said.strip()))
    return Commit(id=said.strip(), epoch=epoch, dirty=())


def authors_since_tag(root: Path, commit: str) -> list[str]:
    """The e-mail addresses of who wrote a commit and what led to it since the newest version's tag before it (all, without one).

    Authors, committers (who amends or rebases the commit of another changes it) and those whom a message names as co-authors, also
    of merges, and of what a merge undid. The commit's own always count, whatever folder it is about. A tag that is no version
    which can be released (v1.2.3, 1.2.3+4) is none of a release: nobody approved v1.2.3-rc.1.

    Returns:
        At least one address, sorted, each as `address` has it.

    Raises:
        UsageError: The clone has a part of the history only, or no address is found.
        BenchError: git fails.
    """
    if _git(root, "rev-parse", "--is-shallow-repository").strip() != "false":
        raise UsageError(
            "is a shallow clone: it does not have the commits that tell who wrote the change",
            file=root,
            remedy="fetch the whole history: `git fetch --unshallow --tags`",
        )
    before = f"{commit}^" if _git(root, "rev-list", "--parents", "-n1", commit).split()[1:] else ""
    merged = _git(root, "tag", "--merged", before, "--sort=-creatordate").split() if before else []
    tags = [tag for tag in merged if _VERSION_TAG.fullmatch(tag)]
    span = [commit, f"^{tags[0]}"] if tags else [commit]
    found = {*_people(root, "--no-walk", commit), *_people(root, *span, *folder_limit(root))}
    if not found - {""}:
        raise UsageError(
            f"commit {commit} names nobody who wrote it",
            file=root,
            remedy="`git config user.email` your address, and commit again",
        )
    return sorted(found - {""})


def folder_limit(root: Path) -> list[str]:
    """What limits `git rev-list` and `git log` to the commits about the product's folder: in a folder of a repository, its path.

    git then shows all that changed a file there, and every merge: left to itself, it follows that parent of a merge alone whose
    files the merge has, and tells neither of the merge nor of what it undid.
    """
    whole = not _git(root, "rev-parse", "--show-prefix").strip()
    return [] if whole else ["--full-history", "--parents", "--", "."]


def _people(root: Path, *wanted: str) -> Iterator[str]:
    """The addresses in some commits. Plumbing, which no one's settings of `git log` change; %x00 is in no field."""
    told = _git_bytes(root, "rev-list", "--encoding=UTF-8", "--format=%ae%x00%ce%x00%B%x00", *wanted)
    fields, commits = told.decode(errors="replace").split("\0"), list[str]()
    for author, committer, message in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        line, _, first = author.rpartition("\n")  # "commit", its id and, where they are asked for, its parents
        commits.append(line.split()[1])
        yield address(first)
        yield address(committer)
        yield from _co_authors(message)
    yield from _people_as_written(root, commits)


def _people_as_written(root: Path, commits: Sequence[str]) -> Iterator[str]:
    """The addresses in some commits by their bytes.

    git tells of a commit in the encoding that it says to be in: one in which its bytes mean nothing (EBCDIC) hides everybody.
    """
    told = io.BytesIO(_git_bytes(root, "cat-file", "--batch", given="".join(f"{one}\n" for one in commits).encode()))
    while line := told.readline():  # id, "commit" and size
        head, _, message = told.read(int(line.split()[2])).decode(errors="replace").partition("\n\n")
        told.readline()
        yield from map(address, _PERSON.findall(head))
        yield from _co_authors(message)


def _co_authors(message: str) -> Iterator[str]:
    for named in _CO_AUTHOR.findall(message):
        yield from _named(named)


def _named(text: str) -> Iterator[str]:
    """The addresses that a co-author's line names: what stands in <>, else each word with an @."""
    for part in re.findall(r"<([^<>]*)>", text) or text.split():
        for one in part.split(",") if part.count("@") > 1 else [part]:
            if "@" in one:
                yield address(one.strip("\"'(),;: \t"))


def commits_that_changed(root: Path, file: str, text: str) -> list[str]:
    """The commits, newest first, that made a text appear in a file (relative to the root) more or less often."""
    return _git(root, "log", "--format=%H", f"-S{text}", "--", file).split()


def git_text(root: Path, *arguments: str, refused: str = "", remedy: str = "") -> str:
    """What git prints of a repository; where it fails, `refused` says what that means, with a remedy.

    Raises:
        UsageError: Not a git repository, or git failed and `refused` says why.
        BenchError: git is not installed, or failed for another reason.
    """
    return _git(root, *arguments, refused=refused, remedy=remedy)


def files_git_sees(root: Path, *folders: str) -> list[str]:
    """The files below some folders, relative to the root, sorted: tracked, and untracked but not ignored; deleted ones left out.

    Raises:
        UsageError: Not a git repository.
        BenchError: git is not installed.
    """
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *folders)
    return sorted(name for name in listed.split("\0") if name and (root / name).is_file())


def export_tree(root: Path, destination: Path, *, commit: Commit) -> None:
    """Write a clean copy of the product's tree.

    Args:
        root: The product's root.
        destination: A folder that does not exist yet or is empty.
        commit: What to copy; where the working tree differed from it (`commit.dirty`), the working tree as git sees it.

    Raises:
        UsageError: Not a repository, a submodule, a link that leads out, or files that git's settings leave out or rewrite.
    """
    destination.mkdir(parents=True, exist_ok=True)
    if commit.dirty:
        _export_working_tree(root, destination)
    else:
        _export_commit(root, destination, commit.id)
    for path in destination.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(destination.resolve()):
            raise _outside(root / path.relative_to(destination))


def _export_commit(root: Path, destination: Path, commit: str) -> None:
    entries = [entry.split("\t", 1) for entry in _git(root, "ls-tree", "-r", "-z", commit).split("\0") if entry]
    _refuse_submodules(root, [path for mode, path in entries if mode.startswith(_SUBMODULE)])
    archive = _git_bytes(root, "archive", "--format=tar", commit)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [member for member in tar.getmembers() if not member.isdir()]
        for member in members:
            _write_member(tar, member, root, destination)
    exported = {member.name for member in members}
    left_out = sorted({path for _, path in entries} - exported)
    if left_out:
        raise UsageError(
            f"{len(left_out)} files of the commit are left out of archives, first '{left_out[0]}'",
            file=root / ".gitattributes",
            key="export-ignore",
            remedy="remove export-ignore: what is built must be what the commit holds",
        )
    for about, path in entries:
        if _blob_id(destination / path) != about.split()[2]:
            raise UsageError(
                "git rewrites it on the way out (a filter, line ends, LFS, export-subst)",
                file=root / path,
                remedy="remove the attribute: what is built must be the bytes that the commit holds",
            )


def _blob_id(path: Path) -> str:
    """The name that git has for a file's or link's content: SHA-1 over its length and bytes."""
    content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, root: Path, destination: Path) -> None:
    """Write a file or link of git's archive."""
    # By hand, because the extraction filters of `tarfile` came with Python 3.11.4 only.
    target = destination / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        if not _stays_inside(member.name, member.linkname):
            raise _outside(root / member.name)
        target.symlink_to(member.linkname)
        return
    content = tar.extractfile(member)
    if content is None:
        raise UsageError("is neither a file nor a link", file=root / member.name, remedy="remove it from the commit")
    target.write_bytes(content.read())
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _outside(link: Path) -> UsageError:
    return UsageError("is a link that leads out of the tree", file=link, remedy="replace the link by a file")


def _export_working_tree(root: Path, destination: Path) -> None:
    staged = [entry.split("\t", 1) for entry in _git(root, "ls-files", "-z", "--stage").split("\0") if entry]
    _refuse_submodules(root, [path for mode, path in staged if mode.startswith(_SUBMODULE)])
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    for path in sorted(entry for entry in listed.split("\0") if entry):
        source = root / path
        if not source.is_symlink() and not source.is_file():
            continue  # deleted in the working tree, or an embedded repository, which git lists as a folder
        target = destination / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink() and not _stays_inside(path, str(source.readlink())):
            raise _outside(source)
        shutil.copy2(source, target, follow_symlinks=False)


def _stays_inside(path: str, link: str) -> bool:
    if link.startswith("/"):
        return False
    depth = len(PurePosixPath(path).parts) - 1
    for part in PurePosixPath(link).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _refuse_submodules(root: Path, paths: list[str]) -> None:
    if paths:
        raise UsageError(
            f"submodules are not supported, first '{paths[0]}'",
            file=root / ".gitmodules",
            remedy="fetch the library through the SOUP lock file, or commit its sources",
        )


_COMMIT_FIRST = "commit the product's files first: a release is made from a commit"


def ask_git(root: Path, *arguments: str) -> str:
    """What a git command says.

    Raises:
        UsageError: Not a git repository.
        BenchError: git fails or is not installed.
    """
    return _git(root, *arguments)


def _git(root: Path, *arguments: str, refused: str = "", remedy: str = _COMMIT_FIRST) -> str:
    return os.fsdecode(_git_bytes(root, *arguments, refused=refused, remedy=remedy))


def _git_bytes(
    root: Path, *arguments: str, refused: str = "", remedy: str = _COMMIT_FIRST, given: bytes = b""
) -> bytes:
    # Inside a git hook, GIT_DIR and its kin name another repository than the one that `root` stands in.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    # History as the commits themselves have it: neither replaced, nor grafted, nor as a file that caches their parents says.
    environment |= {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
    command = ["git", "-c", "core.commitGraph=false", *arguments]
    try:
        done = subprocess.run(command, cwd=root, env=environment, input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        if not root.is_dir():
            raise UsageError("no such folder", file=root) from error
        raise BenchError("git is not installed", remedy="install git, e.g. `apt-get install git`") from error
    if done.returncode == 0:
        return done.stdout
    said = os.fsdecode(done.stderr).strip()
    if "not a git repository" in said:
        raise UsageError(
            "is not in a git repository", file=root, remedy="a release is made from a commit: `git init`, then commit"
        )
    if "dubious ownership" in said:
        raise UsageError(
            "git refuses the repository: it belongs to another user",
            file=root,
            remedy=f"if it is yours: `git config --global --add safe.directory {root}`",
        )
    if refused:
        raise UsageError(refused, file=root, remedy=remedy)
    raise BenchError(f"git {arguments[0]} failed in {root}: {said}", remedy="see what git says; then run it again")
