"""The search for secrets as plain data for rules: `release.secrets`."""

from __future__ import annotations

from typing import Any

from devicepipe.evidence.secrets import Secrets


def secrets_data(secrets: Secrets) -> dict[str, Any]:
    """What rules read: how much was searched, what was found that nothing allows, and which tools were off."""
    searched = secrets.source_files + secrets.bundle_files
    allowed = sum(one.allowed is not None for one in secrets.findings)
    keys = sum(key.searched for key in secrets.keys)
    return {
        "searched": searched,
        "told": f"{searched} files were searched, for {keys} of the project's keys too; {allowed} findings are allowed",
        "found": [
            f"{one.rule} in {one.file}{f':{one.line}' if one.line else ''} ({one.place}; {one.tool})"
            for one in secrets.findings
            if one.allowed is None
        ],
        "unproven": [
            f"{tool.name} missed what was planted" for tool in secrets.tools if tool.name not in secrets.proven_on
        ],
    }
