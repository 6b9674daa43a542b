"""The real ports 25, 53 and 443 and public addresses, in a network namespace of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("namespace_cases.py")

pytestmark = pytest.mark.needs("unshare", "ip", root="a network namespace")


@pytest.mark.parametrize("case", [
    "mail_flows_on_the_real_ports_as_an_unprivileged_user", "https_fetch_F25",
    "private_addresses_are_refused_beside_public_ones"])
def test_in_a_namespace(case):
    result = subprocess.run(
        ["unshare", "--net", "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"{CASES}::test_{case}"], capture_output=True, text=True, timeout=120,
        cwd=CASES.parent)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr
