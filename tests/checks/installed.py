"""Installs a build into an empty folder and uses what is there: programs, man pages, completion of bash, services.

usage: installed.py CMAKE BUILD
"""

import pathlib
import subprocess
import sys
import tempfile


def output(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def main(cmake, build):
    with tempfile.TemporaryDirectory() as folder:
        output(cmake, "--install", build, "--prefix", folder)
        prefix = pathlib.Path(folder)
        version = output(prefix / "bin/iotsl", "--version").strip()
        for program in ("iotsl-bench", "iotsl-device"):
            assert output(prefix / "bin" / program, "--version").split()[-1] == version
        assert output(prefix / "bin/iotsl", "bench", "--version") == f"iotsl-bench {version}\n"
        share = prefix / "share"
        for program in ("iotsl", "iotsl-bench", "iotsl-device"):
            page = (share / f"man/man1/{program}.1").read_text()
            assert page.startswith(f".TH {program} 1"), page[:80]
            assert version in page.splitlines()[0], page.splitlines()[0]
            completion = share / "bash-completion/completions" / program
            told = output("bash", "-c", f". {completion}; complete -p {program}")
            assert told.strip().endswith(f" {program}"), told
        for unit in ("iotsl-server", "iotsl-device"):
            assert "[Service]" in (prefix / f"lib/systemd/system/{unit}.service").read_text()
        assert (prefix / "lib/sysusers.d/iotsl.conf").read_text().startswith("u iotsl ")
    print("the installation has programs, man pages, completion and services")


if __name__ == "__main__":
    main(*sys.argv[1:3])
