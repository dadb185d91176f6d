#!/usr/bin/env python3
"""run.py [KIND] [NAME...]: every test_* function of every test_*.py here, or those whose name contains one of NAMEs.

Prints `ok NAME`, `not ok NAME` with the reason, `skipped NAME`; `done` at the end. KIND is release or sanitized: a test that is marked
`only = "release"` runs there alone.
"""
import importlib
import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import Skipped, clean  # noqa: E402


def tests():
    for path in sorted(pathlib.Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, value in list(vars(module).items()):
            if name.startswith("test_") and callable(value):
                yield f"{path.stem[5:]}.{name[5:]}", value


def main(kind="release", *names):
    failed = 0
    for name, test in tests():
        if names and not any(n in name for n in names):
            continue
        if getattr(test, "only", kind) != kind:
            continue
        begin = time.monotonic()
        try:
            test()
            print(f"ok {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Skipped as why:
            print(f"skipped {name}: {why}", flush=True)
        except Exception:  # noqa: BLE001: a test may fail in any way
            failed += 1
            print(f"not ok {name}\n{traceback.format_exc()}", flush=True)
        finally:
            clean()
    print("done")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
