"""Runs the steps of a document one after the other, as its reader would; started by `cargo xtask test --only docs`.

Steps come as JSON on a file: [["sh", "line"], ["python", "block"], ...]. Shell lines share one environment and working
directory, Python blocks one namespace. One case line is printed per step; a failed step does not stop the others.
"""

import contextlib
import io
import json
import subprocess
import sys
import traceback

STATE = ".reader-state"
# Variables and the folder survive from line to line, as they do in a reader's terminal.
SHELL = f"""set -a -o pipefail
[ -f {STATE} ] && . ./{STATE}
[ -f {STATE}-cwd ] && cd "$(cat {STATE}-cwd)"
START="$PWD"
trap 'code=$?; export -p > "$HERE/{STATE}"; pwd > "$HERE/{STATE}-cwd"; exit $code' EXIT
"""


def run_sh(line):
    import os

    environment = {**os.environ, "HERE": os.getcwd()}
    done = subprocess.run(
        ["bash", "-c", SHELL + line + "\n"], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, text=True,
    )  # fmt: skip
    return done.returncode == 0, done.stdout


def run_python(block, namespace):
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(block, "<document>", "exec"), namespace)
        return True, said.getvalue()
    except BaseException:
        return False, said.getvalue() + traceback.format_exc()


def main():
    name, steps = sys.argv[1], json.load(open(sys.argv[2]))
    namespace, failed = {"__name__": "document"}, 0
    for kind, text in steps:
        try:
            held, said = run_sh(text) if kind == "sh" else run_python(text, namespace)
        except subprocess.TimeoutExpired as error:
            held, said = False, f"did not end within 60 s: {error.stdout}"
        label = text.strip().splitlines()[0]
        print(f"{'ok' if held else 'FAIL'} {name}: {label}", flush=True)
        print("\n".join(f"    {line}" for line in said.splitlines()[-30:]), flush=True)
        failed += not held
    return 1 if failed else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    import os

    os._exit(code)
