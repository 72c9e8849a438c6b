"""What must hold of the device of a test run, by the evidence's own account of it."""

from __future__ import annotations

from devicepipe.errors import IntegrityError
from devicepipe.evidence.results import TestRun, Verdict


def check_device(run: TestRun, link: str) -> None:
    """Refuse verdicts of a device that may not have been used, or that was another one than the inventory states.

    Args:
        run: The session.
        link: The attestation that holds it.

    Raises:
        IntegrityError: A case has a verdict though the device was out of service, nobody had it, or its instruments were not
            calibrated any more; or it is not the device of that serial number.
    """
    device = run.device
    judged = [case.id for case in run.cases if case.verdict in (Verdict.PASSED, Verdict.FAILED)]
    if judged and device.out_of_service:
        raise IntegrityError(
            f"says that {judged[0]} ran on device '{device.id}', and that it was out of service: {device.out_of_service}",
            link=link,
        )
    if judged and not device.emulated and device.lease_token is None:
        raise IntegrityError(f"tested on the real device '{device.id}', of which it had no lease", link=link)
    if device.emulated and (device.lease_token is not None or device.drivers):
        raise IntegrityError(f"its device '{device.id}' is emulated, and has a lease or drivers", link=link)
    due = device.calibration_due
    if judged and due is not None and run.started_on[: len(due)] > due:
        raise IntegrityError(
            f"tested on {run.started_on}, after the calibration of its device was due ({due})", link=link
        )
    if run.identity_errors:
        return
    for identity in (run.identity_before, run.identity_after):
        stated = device.stated_serial or device.serial
        if identity is not None and identity.serial != stated:
            raise IntegrityError(
                f"its device says serial number {identity.serial!r}, and is device '{device.id}', whose is {stated!r}",
                link=link,
            )
