"""One board, for real: a library that nobody declared and a component without its VEX statement stop the release, by name."""

from __future__ import annotations

import json

from devicepipe.analysis.cyclonedx_text import schema_problem
from tests.product.conftest import Product


def test_an_undeclared_library_and_an_affected_component_stop_the_release_by_name(product: Product) -> None:
    product.make_small()
    product.edit("firmware/soup.toml", 'compiler = "arm-none-eabi-gcc"', 'compiler = "another-gcc"')
    (product.root / "security/vex/zcbor.json").unlink()
    (product.root / "security/vex/.gitkeep").touch()
    product.commit("fix: nobody knows of libgcc, and nobody says why the sample does not matter")
    outcome = product.run("release", "1.0.0", "--json")
    assert outcome.code == 1, outcome.err + outcome.out
    broken = {one["rule"]: one["message"] for one in outcome.json()["decisions"] if not one["passed"]}
    assert broken.keys() == {"libraries-declared", "no-affected-component"}
    assert "libgcc (/" in broken["libraries-declared"]
    assert "zcbor 0.9.1 by SAMPLE-2026-0002" in broken["no-affected-component"]
    bundle = product.root / "dist/infusion-pump-1.0.0"
    for name in ("microbit/sbom.cdx.json", "build-sbom.cdx.json"):
        assert schema_problem(json.loads((bundle / "evidence" / name).read_text(encoding="utf-8"))) == ""
    assert product.run("verify", str(bundle), "--key", str(bundle / "keys/release.pub.pem")).code == 1
    checked = product.run("vuln", "check", str(bundle), "--json")
    assert checked.code == 1
    assert [one["verdict"] for one in checked.json()["assessment"]["components"]] == ["no_data", "fixed", "affected"]
