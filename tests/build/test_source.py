"""Commits and clean copies of them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

from devicepipe.build.source import authors_since_tag, export_tree, read_commit
from devicepipe.errors import UsageError


def export(root: Path, destination: Path, *, dirty: bool) -> None:
    """Export the commit, or the working tree whether it differs or not."""
    commit = read_commit(root)
    export_tree(root, destination, commit=dataclasses.replace(commit, dirty=("something",) if dirty else ()))


def git(root: Path, *arguments: str) -> str:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
        "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "sub").mkdir(parents=True)
    git(root, "init", "--quiet")
    (root / ".gitignore").write_text("*.o\n", encoding="ascii")
    (root / "a.c").write_text("int a;\n", encoding="ascii")
    (root / "sub" / "ü b.c").write_text("int b;\n", encoding="ascii")
    (root / "run.sh").write_text("true\n", encoding="ascii")
    (root / "run.sh").chmod(0o755)
    (root / "link.c").symlink_to("sub/ü b.c")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    return root


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


COMMITTED = {".gitignore", "a.c", "sub/ü b.c", "run.sh", "link.c"}


def test_clean_commit_is_read_with_its_time(repository: Path) -> None:
    commit = read_commit(repository)
    assert commit.id == git(repository, "rev-parse", "HEAD")
    assert (commit.time, commit.epoch, commit.dirty) == ("2026-01-02T03:04:05Z", 1767323045, ())


def test_changed_deleted_and_untracked_files_make_it_dirty_but_ignored_ones_do_not(repository: Path) -> None:
    (repository / "a.c").write_text("int changed;\n", encoding="ascii")
    (repository / "run.sh").unlink()
    (repository / "new ü.c").write_text("", encoding="ascii")
    (repository / "main.o").write_text("", encoding="ascii")
    assert read_commit(repository).dirty == ("a.c", "new ü.c", "run.sh")


def test_export_holds_the_commit_and_nothing_of_the_working_tree(repository: Path, tmp_path: Path) -> None:
    (repository / "a.c").write_text("int changed;\n", encoding="ascii")
    (repository / "new.c").write_text("", encoding="ascii")
    export(repository, tmp_path / "copy", dirty=False)
    assert names(tmp_path / "copy") == COMMITTED
    assert (tmp_path / "copy" / "a.c").read_text("ascii") == "int a;\n"
    assert os.access(tmp_path / "copy" / "run.sh", os.X_OK)
    assert (tmp_path / "copy" / "link.c").read_text("ascii") == "int b;\n"


def test_dirty_export_holds_what_git_sees(repository: Path, tmp_path: Path) -> None:
    (repository / "a.c").write_text("int changed;\n", encoding="ascii")
    (repository / "run.sh").unlink()
    (repository / "new.c").write_text("", encoding="ascii")
    (repository / "main.o").write_text("", encoding="ascii")
    export(repository, tmp_path / "copy", dirty=True)
    assert names(tmp_path / "copy") == (COMMITTED - {"run.sh"}) | {"new.c"}
    assert (tmp_path / "copy" / "a.c").read_text("ascii") == "int changed;\n"


@pytest.mark.parametrize("dirty", [False, True])
def test_a_folder_of_a_repository_is_a_root_of_its_own(repository: Path, tmp_path: Path, dirty: bool) -> None:
    (repository / "a.c").write_text("int changed;\n", encoding="ascii")
    (repository / "sub" / "new.c").write_text("", encoding="ascii")
    assert read_commit(repository / "sub").dirty == ("new.c",)
    export(repository / "sub", tmp_path / "copy", dirty=dirty)
    assert names(tmp_path / "copy") == {"ü b.c"} | ({"new.c"} if dirty else set())


def test_a_git_hooks_environment_does_not_mislead(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert read_commit(repository).dirty == ()


def test_no_repository_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"not in a git repository(.|\n)*git init"):
        read_commit(tmp_path)


def test_no_commit_is_told(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UsageError, match="no commit yet"):
        read_commit(tmp_path)


@pytest.mark.parametrize("dirty", [False, True])
def test_submodule_is_refused(repository: Path, tmp_path: Path, dirty: bool) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    git(repository, "commit", "--quiet", "-m", "submodule")
    with pytest.raises(UsageError, match=r"submodules are not supported, first 'vendor/lib'"):
        export(repository, tmp_path / "copy", dirty=dirty)


def test_file_left_out_by_export_ignore_is_refused(repository: Path, tmp_path: Path) -> None:
    (repository / ".gitattributes").write_text("a.c export-ignore\n", encoding="ascii")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "attributes")
    with pytest.raises(UsageError, match=r"1 files .* first 'a\.c'"):
        export(repository, tmp_path / "copy", dirty=False)


def test_file_that_a_filter_rewrites_is_refused(repository: Path, tmp_path: Path) -> None:
    """Neither the attribute nor the filter is committed, and the working tree looks clean."""
    (repository / ".git/info").mkdir(exist_ok=True)
    (repository / ".git/info/attributes").write_text("a.c filter=x\n", encoding="ascii")
    git(repository, "config", "filter.x.smudge", "sed s/^/x/")
    git(repository, "config", "filter.x.clean", "sed s/^x//")
    with pytest.raises(UsageError, match=r"a\.c: git rewrites it"):
        export(repository, tmp_path / "copy", dirty=False)


def test_replaced_commit_is_not_followed(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    (repository / "a.c").write_text("int other;\n", encoding="ascii")
    git(repository, "commit", "--quiet", "-am", "other")
    original = (repository / "a.c").read_bytes()
    git(repository, "replace", git(repository, "rev-parse", "HEAD"), first)
    export(repository, tmp_path / "copy", dirty=False)
    assert (tmp_path / "copy/a.c").read_bytes() == original


@pytest.mark.parametrize("dirty", [False, True])
def test_links_that_lead_out_together_are_refused(repository: Path, tmp_path: Path, dirty: bool) -> None:
    (repository / "d").mkdir()
    (repository / "d/l").symlink_to("..")
    (repository / "secret").symlink_to("d/l/d/l/d/l/../../../etc/hostname")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "links")
    with pytest.raises(UsageError, match="leads out of the tree"):
        export(repository, tmp_path / "a/b/copy", dirty=dirty)


@pytest.mark.parametrize("dirty", [False, True])
@pytest.mark.parametrize("target", ["/etc/hostname", "../outside.c"])
def test_link_out_of_the_tree_is_refused(repository: Path, tmp_path: Path, dirty: bool, target: str) -> None:
    (repository / "out.c").symlink_to(target)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "link")
    with pytest.raises(UsageError, match="link that leads out of the tree"):
        export(repository, tmp_path / "copy", dirty=dirty)


def test_authors_are_those_since_the_last_version_whatever_else_is_tagged(repository: Path) -> None:
    def commit(who: str, more: str = "") -> str:
        (repository / "file").write_text(who)
        git(repository, "add", "file")
        git(repository, "-c", f"user.email={who}@example.com", "commit", "--quiet", "-m", f"by {who}{more}")
        return git(repository, "rev-parse", "HEAD")

    commit("old")
    git(repository, "tag", "v1.0.0")
    commit("ada", "\n\nCo-authored-by: Quinn Quality <quinn@example.com> (pairing)")
    git(repository, "tag", "wip")
    assert authors_since_tag(repository, commit("eva")) == [
        "ada@example.com", "eva@example.com", "quinn@example.com",
    ]  # fmt: skip
