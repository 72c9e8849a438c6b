"""[publication] of devicepipe.toml: where releases are published, who signs the repository, and how long its metadata holds."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from devicepipe.project.toml_file import Table

RepositoryRole = Literal["root", "targets", "snapshot", "timestamp"]
ROLES: tuple[RepositoryRole, ...] = get_args(RepositoryRole)


class RoleKey(Table):
    """A key of a role: its public half, and the URI of its signer where that can be used here; left out, somebody else has it."""

    public: str = Field(min_length=1)
    signer: str | None = None


class RoleSettings(Table):
    """[publication.root], .targets, .snapshot, .timestamp: the keys of a role, how many must sign, and for how many days.

    Without keys in all four, development keys are made under .devicepipe/keys.
    """

    keys: tuple[RoleKey, ...] = Field(default=(), strict=False)
    threshold: int = Field(default=1, ge=1)
    days: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.threshold > max(len(self.keys), 1):
            raise ValueError(f"threshold: {self.threshold} keys must sign, and there are {max(len(self.keys), 1)}")
        names = [key.public for key in self.keys]
        if len({*names}) != len(names):
            raise ValueError("keys: one stands twice")
        return self


class PublicationSettings(Table):
    """Where releases are published.

    Attributes:
        repository: A folder, relative to the project, or `s3://BUCKET/PREFIX`.
        trusted_root: The root metadata that clients start from: commit it.
        root: The keys that sign the root, which names all others.
        targets: Those that sign what is released.
        snapshot: Those that sign which metadata belong together.
        timestamp: Those that sign that this is the newest.
    """

    repository: str = Field(default="dist/repository", min_length=1)
    trusted_root: str = Field(default="publication/root.json", min_length=1)
    root: RoleSettings = RoleSettings.model_construct()
    targets: RoleSettings = RoleSettings.model_construct()
    snapshot: RoleSettings = RoleSettings.model_construct()
    timestamp: RoleSettings = RoleSettings.model_construct()

    def role(self, name: RepositoryRole) -> RoleSettings:
        """The settings of a role."""
        settings: RoleSettings = getattr(self, name)
        return settings

    def days(self, name: RepositoryRole) -> int:
        """For how many days holds what a role signs."""
        return self.role(name).days or DAYS[name]

    @model_validator(mode="after")
    def _keys_of_all_or_none(self) -> Self:
        without = [name for name in ROLES if not self.role(name).keys]
        if without and len(without) < len(ROLES):
            raise ValueError(f"{without[0]}: has no keys, and other roles have: name those of all four")
        return self


DAYS: dict[RepositoryRole, int] = {"root": 365, "targets": 30, "snapshot": 7, "timestamp": 7}
"""For how many days holds what a role signs, where nothing else is said.

For so long can whoever has the keys below it show an old state.
"""
