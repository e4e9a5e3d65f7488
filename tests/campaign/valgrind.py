#!/usr/bin/env python3
"""Test programs under valgrind's memcheck, a process per source file, so that a stop loses one file.

    valgrind.py build/release/tests/net_tests build/release/tests/split_tests --out DIR [--jobs 2]

A line per file; ends with 1 where memcheck has found something, or a program has crashed or was
stopped. Checks of a test that fail are counted, not judged: those about time cannot hold at a
thirtieth of the speed, with one thread running at a time. A file that DIR has a clean result of is
not run again. Valgrind computes fused multiply-adds in software (a case of 5 s took 41): the kernels
are those of the target `baseline`, and libm is asked for those without.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

MEMCHECK = ["valgrind", "--leak-check=full", "--error-exitcode=99", "--fair-sched=yes",
            "--errors-for-leak-kinds=definite",  # libgomp's threads wait at the exit: "possibly"
            "--child-silent-after-fork=yes",     # a forked child leaves by _exit()
            # The tests' own operator new stays theirs; that for nothrow, which they leave to the
            # library, is memcheck's, so that it takes their delete for the wrong one.
            "--soname-synonyms=somalloc=nouserintercepts", "--show-mismatched-frees=no"]


def environment():
    return dict(os.environ, IOTSL_TARGET="baseline", OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive",
                GLIBC_TUNABLES="glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2,-AVX512F")


def source_files(program):
    listed = subprocess.run([program, "-ltc", "-r=xml"], check=True, capture_output=True, text=True)
    return sorted({case.get("filename") for case in xml.fromstring(listed.stdout).iter("TestCase")})


def run(program, source, out, limit):
    name = re.sub(r"\W", "-", source.split("/tests/")[-1])
    result = out / f"{name}.json"
    if result.exists() and json.loads(result.read_text())["clean"]:
        return json.loads(result.read_text())
    log, begin = out / f"{name}.memcheck", time.monotonic()
    command = [*MEMCHECK, f"--log-file={log}", program, f"-sf={source}"]
    with open(out / f"{name}.log", "w") as said:
        try:
            code = subprocess.run(command, stdout=said, stderr=said, env=environment(),
                                  timeout=limit).returncode
        except subprocess.TimeoutExpired:
            code = None
    errors = re.search(r"ERROR SUMMARY: (\d+) errors", log.read_text())
    cases = re.search(r"test cases: +(\d+) \| +(\d+) passed \| +(\d+) failed",
                      (out / f"{name}.log").read_text())
    row = {"file": source.split("/tests/")[-1],
           "seconds": round(time.monotonic() - begin, 1),
           "cases": int(cases[1]) if cases else 0,
           "failed": int(cases[3]) if cases else 0,
           "errors": int(errors[1]) if errors else None,
           "stopped": code is None}
    row["clean"] = code in (0, 1) and row["errors"] == 0
    result.write_text(json.dumps(row))
    return row


def main():
    options = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("programs", nargs="+", metavar="PROGRAM")
    options.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR",
                         help="results and what was said")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--limit", type=float, default=3600, metavar="S", help="seconds of a file")
    options.add_argument("--only", default="", metavar="TEXT", help="files with it in their path")
    chosen = options.parse_args()
    if shutil.which(MEMCHECK[0]) is None:
        options.error("valgrind is not installed")
    chosen.out.mkdir(parents=True, exist_ok=True)
    begin, rows = time.monotonic(), []
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        work = [pool.submit(run, program, source, chosen.out, chosen.limit)
                for program in chosen.programs for source in source_files(program)
                if chosen.only in source]
        for done in concurrent.futures.as_completed(work):
            row = done.result()
            rows.append(row)
            verdict = ("clean" if row["clean"] else "stopped" if row["stopped"] else
                       f"{row['errors']} errors")
            if row["failed"] > 0:
                verdict += f", {row['failed']} tests failed"
            print(f"{row['file']:58} {row['cases']:4} cases {row['seconds']:8} s  {verdict}", flush=True)
    bad = [row["file"] for row in rows if not row["clean"]]
    print(f"{sum(row['cases'] for row in rows)} cases of {len(rows)} files in "
          f"{time.monotonic() - begin:.0f} s: {len(bad)} files not clean{': ' if bad else ''}"
          f"{', '.join(bad)}")
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
