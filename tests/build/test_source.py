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


# --- authors ---


def by(who: str, at: str = "example.com") -> tuple[str, ...]:
    return ("-c", f"user.email={who}@{at}")


def commit(root: Path, who: str, more: str = "", file: str = "file") -> str:
    (root / file).write_text(f"{who}{more}")
    git(root, "add", file)
    git(root, *by(who), "commit", "--quiet", "-m", f"by {who}{more}")
    return git(root, "rev-parse", "HEAD")


def mails(*who: str) -> list[str]:
    return [f"{one}@example.com" for one in who]


@pytest.fixture
def tagged(repository: Path) -> Path:
    """The repository after a version: of what came before, nobody is an author."""
    commit(repository, "old")
    git(repository, "tag", "v1.0.0")
    return repository


def test_authors_are_those_since_the_last_version_whatever_else_is_tagged(tagged: Path) -> None:
    commit(tagged, "ada", "\n\nCo-authored-by: Quinn Quality <quinn@example.com> (pairing)")
    for tag in ("wip", "1.2.3.notaversion", "v1.1.0-rc.1", "v1.1"):
        git(tagged, "tag", tag)
    assert authors_since_tag(tagged, commit(tagged, "eva")) == mails("ada", "eva", "quinn")
    git(tagged, "tag", "1.1.0+2")
    assert authors_since_tag(tagged, commit(tagged, "ron")) == mails("ron")


def test_a_shallow_clone_hides_no_author_it_is_refused(tagged: Path, tmp_path: Path) -> None:
    commit(tagged, "ron")
    head = commit(tagged, "eva")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", tagged.as_uri(), str(clone))
    with pytest.raises(UsageError, match="is a shallow clone") as caught:
        authors_since_tag(clone, head)
    assert "git fetch --unshallow --tags" in caught.value.remedy
    git(clone, "fetch", "--quiet", "--unshallow", "--tags")
    assert authors_since_tag(clone, head) == mails("eva", "ron")


@pytest.mark.parametrize("how", ["grafted", "replaced"])
def test_a_history_that_is_grafted_or_replaced_hides_no_author(tagged: Path, how: str) -> None:
    commit(tagged, "ron")
    head = commit(tagged, "eva")
    if how == "grafted":
        (tagged / ".git/info").mkdir(exist_ok=True)
        (tagged / ".git/info/grafts").write_text(f"{head} {git(tagged, 'rev-parse', 'v1.0.0')}\n")
    else:
        git(tagged, "replace", "--graft", head, "v1.0.0")
    assert git(tagged, "rev-list", "--count", "v1.0.0..HEAD") == "1"  # what a git that believes it sees
    assert authors_since_tag(tagged, head) == mails("eva", "ron")


@pytest.mark.parametrize("folder", ["", "sub"])
@pytest.mark.parametrize("kept", [0, 1], ids=["the old state merged in", "ours"])
def test_a_merge_that_undoes_a_change_hides_neither_its_author_nor_whom_it_discards(
    tagged: Path, folder: str, kept: int
) -> None:
    root = tagged / folder
    old = git(tagged, "rev-parse", "HEAD")
    commit(root, "ada", " safety fix", "safety.c")
    parents = ("-p", "HEAD", "-p", old) if kept == 0 else ("-p", old, "-p", "HEAD")
    merge = git(tagged, *by("ron"), "commit-tree", f"{old}^{{tree}}", *parents, "-m", "merge")
    git(tagged, "reset", "--quiet", "--hard", merge)
    assert not (root / "safety.c").exists()
    assert authors_since_tag(root, merge) == mails("ada", "ron")
    assert authors_since_tag(root, commit(root, "eva", file="harmless.c")) == mails("ada", "eva", "ron")


def test_who_amends_the_commit_of_another_is_an_author(tagged: Path) -> None:
    commit(tagged, "eva")
    (tagged / "file").write_text("something else")
    git(tagged, "-c", "user.email=ron@example.com", "commit", "--quiet", "--all", "--amend", "--no-edit")
    assert git(tagged, "show", "--no-patch", "--format=%ae") == "eva@example.com"
    assert authors_since_tag(tagged, "HEAD") == mails("eva", "ron")


def test_of_a_folder_those_of_others_do_not_count_but_the_released_commit_s_own_do(tagged: Path) -> None:
    commit(tagged, "eva", file="sub/a.c")
    commit(tagged, "ada", file="elsewhere.c")
    assert authors_since_tag(tagged / "sub", commit(tagged, "ron", file="elsewhere.c")) == mails("eva", "ron")
    git(tagged, "tag", "--force", "v1.0.0")
    assert authors_since_tag(tagged / "sub", commit(tagged, "ron", " again", "elsewhere.c")) == mails("ron")


@pytest.mark.parametrize("encoding", ["IBM037", "UTF-16LE", "no such encoding"])
def test_a_commit_in_an_encoding_that_hides_its_author_did_hide_him(tagged: Path, encoding: str) -> None:
    """git shows nobody where the encoding that a commit names makes nothing of its bytes; a forge shows who it is."""
    who = "Quinn <quinn@example.com> 1700000000 +0000"
    head = f"tree {git(tagged, 'rev-parse', 'HEAD^{tree}')}\nparent {git(tagged, 'rev-parse', 'HEAD')}\n"
    text = f"{head}author {who}\ncommitter {who}\nencoding {encoding}\n\na change\n\nCo-authored-by: Ron <ron@x.org>\n"
    done = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        cwd=tagged,
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    git(tagged, "reset", "--hard", done.stdout.decode().strip())
    commit(tagged, "eva")
    found = authors_since_tag(tagged, read_commit(tagged).id)
    assert {"quinn@example.com", "ron@x.org", "eva@example.com"} <= {*found}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Co-Authored-By: Ron <ron@EXAMPLE.com>", ["ron@example.com"]),
        ("co-authored-by: ron@example.com (pairing)", ["ron@example.com"]),
        ("Co-authored-by: Ron <ron@example.com>\n\nand a last paragraph", ["ron@example.com"]),
        ("Co-authored-by: Ron, Smith & Co <ron,smith@x.org>", ["ron,smith@x.org"]),
        ("Co-authored-by: Ron\n  <ron@example.com>", ["ron@example.com"]),
        ("Co-authored-by: A <a@x.org>, B <b@x.org>\nCo-authored-by: c@x.org, d@x.org", [f"{one}@x.org" for one in "abcd"]),
        ("Co-authored-by: a@x.org,b@x.org", ["a@x.org", "b@x.org"]),
        ("Co-authored-by: somebody", []),
        ("Reviewed-by: Quinn <quinn@example.com>", []),
    ],
)  # fmt: skip
def test_co_authors_are_named_by_whole_addresses(tagged: Path, line: str, expected: list[str]) -> None:
    head = commit(tagged, "eva", f"\n\nWhy.\n\n{line}")
    assert authors_since_tag(tagged, head) == sorted({*expected, *mails("eva")})


@pytest.mark.parametrize(
    ("given", "expected"),
    [("ron,smith@x.org", "ron,smith@x.org"), ("Rene\u0301@x.org", "ren\xe9@x.org"), ("root", "root")],
)
def test_an_author_s_odd_address_is_nobody_else_s(tagged: Path, given: str, expected: str) -> None:
    (tagged / "file").write_text("odd")
    git(tagged, "-c", f"user.email={given}", "commit", "--quiet", "--all", "-m", "odd")
    assert authors_since_tag(tagged, "HEAD") == [expected]


def test_a_commit_that_names_nobody_is_refused(tagged: Path) -> None:
    (tagged / "file").write_text("odd")
    git(tagged, "-c", "user.email=", "commit", "--quiet", "--all", "-m", "odd")
    with pytest.raises(UsageError, match="names nobody who wrote it"):
        authors_since_tag(tagged, "HEAD")
