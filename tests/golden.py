#!/usr/bin/python3
"""Every golden case of tests/data/tlsrpt-cases.yaml is a row of some test, known there by its id.

    tests/golden.py PROGRAM...    runs their golden cases, and looks for each id in what they print

Exit status 1 when a program fails or an id is in no output.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

CASES = Path(__file__).resolve().parent / "data" / "tlsrpt-cases.yaml"
GROUPS = "ACDE"
# Datagrams from other mail servers, as all of group B.
ELSEWHERE = {"D20"}
NAMES = "*golden case*,*golden record*," + ",".join(f"{group}??:*" for group in GROUPS)


def shown_by(program: str) -> str:
    # The results that are kept are those of the whole program.
    environment = {name: value for name, value in os.environ.items()
                   if name != "STSRELAY_TEST_RESULTS"}
    done = subprocess.run([program, "--success", f"--test-case={NAMES}"], text=True,
                          errors="replace", capture_output=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"golden: {program} fails:\n{done.stdout[-4000:]}{done.stderr}")
    return done.stdout


def main() -> int:
    output = "\n".join(map(shown_by, sys.argv[1:]))
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    ids = [row["id"] for group in GROUPS for row in cases[group]]
    missing = [id for id in ids if id not in ELSEWHERE and not re.search(rf"\b{id}\b", output)]
    for id in missing:
        print(f"{id}: no test shows it")
    print(f"golden: {len(ids)} cases, {len(ELSEWHERE)} of them elsewhere, {len(missing)} not shown")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
