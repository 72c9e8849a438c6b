"""The `devicepipe` command: finds the subcommand, runs it, and turns errors into messages and exit codes.

Exit codes: 0 fine, 1 the product failed, 2 usage, 3 bench, 4 integrity, 130 interrupted; 70 is a defect of devicepipe itself.
Subcommands are imported when they are called, so that `devicepipe --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from typing import Any, NoReturn

import click

from devicepipe.cli.common import fit_to_print, print_json
from devicepipe.cli.lazy import LazyGroup
from devicepipe.errors import EXIT_OK, EXIT_USAGE, BenchError, DevicepipeError
from devicepipe.secret_variables import withhold

EXIT_INTERRUPTED = 130
EXIT_DEFECT = 70

_COMMANDS = {
    "release": (
        "devicepipe.cli.release",
        "Make a release bundle: build, analyse, sign, test, trace, gate, document, seal.",
    ),
    "verify": ("devicepipe.cli.verify", "Check a release bundle offline, with nothing but a public key."),
    "verify-documents": ("devicepipe.cli.verify_documents", "Check signed copies of a release's documents."),
    "sign-documents": ("devicepipe.cli.sign_documents", "Sign the record copies of a release's documents (PAdES)."),
    "report": ("devicepipe.cli.report", "Make a bundle's documents anew, from the bundle alone."),
    "gate": ("devicepipe.cli.gate", "Show the rules of a release, and explain what they decided."),
    "waive": ("devicepipe.cli.waive", "Waive what a rule found, for a time and with a reason, signed."),
    "account": ("devicepipe.cli.account", "Make and change the accounts of people who sign."),
    "submit": ("devicepipe.cli.approve", "Sign a release as a candidate."),
    "approve": ("devicepipe.cli.approve", "Sign your approval of a release."),
    "reject": ("devicepipe.cli.approve", "Sign that a release is not approved."),
    "retract": ("devicepipe.cli.approve", "Take your own approval of a release back, signed."),
    "withdraw": ("devicepipe.cli.approve", "Withdraw a release for good, signed."),
    "approvals": ("devicepipe.cli.approve", "Show who signed what of a release, and what it wants yet."),
    "production": ("devicepipe.cli.production", "Sign an approved release's payloads with the production key."),
    "publish": ("devicepipe.cli.publish", "Publish an approved release in the product's repository, signed."),
    "unpublish": ("devicepipe.cli.publish", "Withdraw a published release, signed, and have the repository say so."),
    "pull": ("devicepipe.cli.pull", "Fetch a published release, verified, whole or not at all."),
    "repository": (
        "devicepipe.cli.repository",
        "Make, check, renew and rotate the repository that releases are published in.",
    ),
    "trace": ("devicepipe.cli.trace", "Check items and links: hazards, requirements, designs, tests, and the code."),
    "coverage": ("devicepipe.cli.coverage", "Show what a bundle's device tests executed of the programs that ship."),
    "build": ("devicepipe.cli.develop", "Build the working tree's firmware for each board."),
    "analyse": ("devicepipe.cli.analyse", "Analyse the working tree's sources and programs; show what is new."),
    "sign": ("devicepipe.cli.develop", "Build, and sign the images with the configured keys."),
    "test": ("devicepipe.cli.develop", "Build, sign, and run the device tests on each board's device."),
    "campaign": ("devicepipe.cli.campaign", "Inject faults into emulated devices, by the thousand."),
    "bench": ("devicepipe.cli.bench", "List, check, take and operate the devices of the inventory."),
    "keys": ("devicepipe.cli.keys", "Show the keys that sign; make, change and revoke keys, and show their history."),
    "log": ("devicepipe.cli.log", "Show, verify and prove what is in the transparency log; witness it."),
    "soup": ("devicepipe.cli.soup", "Fetch the firmware's C libraries, each checked against its locked hash."),
    "vuln": ("devicepipe.cli.vuln", "Pin a snapshot of vulnerability records, and check components against it."),
    "completion": ("devicepipe.cli.completion", "Print the completion script of a shell."),
}

_SIGNED = "; `devicepipe approvals BUNDLE` shows whether you had signed: what it does not show, does not count"
_GOES_ON = "; run it again: it goes on where it stopped, and nothing is done twice"
_AFTER = {
    "release": ", and no bundle was made",
    **dict.fromkeys(("submit", "approve", "reject", "retract", "withdraw"), _SIGNED),
    **dict.fromkeys(("publish", "unpublish", "pull"), _GOES_ON),
}
"""What somebody who interrupts a command wants to know."""


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"devicepipe {version('devicepipe')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    commands_of=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version.",
)
def cli() -> None:
    """From a commit of medical-device firmware to a release that anyone can check offline.

    Exit codes: 0 fine, 1 the product failed, 2 usage, 3 bench, 4 integrity.
    """


def main() -> NoReturn:
    """Entry point of the `devicepipe` command."""
    withhold()  # before anything is started, that would inherit them
    os.umask(os.umask(0o077) | stat.S_IWOTH)  # nothing that is made is for everybody to write
    # A plain `kill` ends a run as Ctrl-C does: nothing half-done stays, no emulator is left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        result: Any = cli.main(arguments, prog_name="devicepipe", standalone_mode=False)
    except click.ClickException as error:
        if as_json:
            print_json({"error": "UsageError", "message": error.format_message(), "exitCode": EXIT_USAGE})
        else:
            error.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo(
            f"interrupted: nothing was left running{_AFTER.get(arguments[0] if arguments else '', '')}", err=True
        )
        return EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit) as end:
        if isinstance(end, SystemExit) and not end.code:
            return EXIT_OK  # click has completed words for a shell
        # The reader of our output has gone; there is nobody left to tell. click ends by SystemExit for that, with the code 1, by
        # which a product failed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_INTERRUPTED
    except Exception as error:
        if os.environ.get("DEVICEPIPE_DEBUG"):
            raise
        told = _as_ours(error)
        if as_json:
            print_json(told.to_json())
        else:
            click.secho("error: ", fg="red", bold=True, err=True, nl=False)
            click.echo(fit_to_print(str(told)), err=True)
        return told.exit_code
    return result if isinstance(result, int) else 0


class DefectError(DevicepipeError):
    """A mistake in devicepipe itself: the one error that nobody meant to raise."""

    exit_code = EXIT_DEFECT


def _as_ours(error: Exception) -> DevicepipeError:
    """Every error ends in one of ours, with a remedy."""
    if isinstance(error, DevicepipeError):
        return error
    if isinstance(error, OSError):
        # A full disk, a folder that may not be written: the machine's state, not the product's and no defect of ours.
        where = f": {error.filename}" if error.filename else ""
        what = "what is named" if where else "the folders that it writes to, that of temporary files too"
        return BenchError(f"{error.strerror or error}{where}", remedy=f"free or permit {what}, and run it again")
    return DefectError(
        f"a defect of devicepipe: {type(error).__name__}: {error}",
        remedy="run again with DEVICEPIPE_DEBUG=1 and report the traceback",
    )
