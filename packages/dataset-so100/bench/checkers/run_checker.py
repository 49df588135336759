"""Runs one checker of LeRobot datasets over folders; prints a line of JSON for each: its name, seconds, findings.

    run_checker.py lerobot-doctor|lerobot-lint|physlint|trajlens FOLDER...

A finding is [severity, code, text]. What stops a checker is a finding "stopped" of it.
"""

import contextlib
import io
import json
import logging
import os
import sys
import time
from importlib.metadata import version


def lerobot_doctor(folder):
    from lerobot_doctor.dataset_loader import load_dataset
    from lerobot_doctor.runner import run_checks

    report = run_checks(load_dataset(folder))
    return [(m.severity.value, r.name, m.message) for r in report.results for m in r.messages if m.severity.value != "PASS"]


def lerobot_lint(folder):
    from lerobot_lint.cli import _resolve_profile
    from lerobot_lint.config import load_profile
    from lerobot_lint.engine import check_dataset

    profile, _ = _resolve_profile(folder, None)
    found = check_dataset(folder, load_profile(profile), download_videos=True, units="auto")
    return [(f.severity, f.check, f"episode {f.episode} {f.message}") for f in found]


def physlint(folder):
    from physlint.api import check_dataset

    report = check_dataset(folder)
    found = [(f.severity.value, f.rule_id, f"{f.location.episode if f.location else ''} {f.message}") for r in report.results for f in r.findings]
    return found + [("stopped", r.rule_id, r.reason or "") for r in report.results if r.status == "error"]


def trajlens(folder):
    from trajlens.checks import CheckContext, CheckEngine, registry
    from trajlens.model import build_canonical_dataset
    from trajlens.sources.loader import SourceLoader

    dataset = build_canonical_dataset(SourceLoader().resolve(folder))
    results = CheckEngine(registry).run(dataset, CheckContext(deep=True), parallel=False)
    found = []
    for result in results:
        if result.severity.name == "INFO":
            continue
        if "STATS_MATCH" in result.check_id:
            # It compares each value of a vector with the mean over all of them: what it says of any set with vectors has new numbers each time.
            found.append((result.severity.name, result.check_id, "statistics"))
            continue
        details = [item for key, value in (result.details or {}).items() if isinstance(value, list) for item in value]
        found += [(result.severity.name, result.check_id, str(text)) for text in (details or [result.message])]
    return found


def main():
    name, *folders = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    check = {"lerobot-doctor": lerobot_doctor, "lerobot-lint": lerobot_lint, "physlint": physlint, "trajlens": trajlens}[name]
    out = sys.stdout
    for folder in folders:
        start = time.perf_counter()
        noise = io.StringIO()
        try:
            with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
                found = check(folder)
        except (Exception, SystemExit) as error:
            found = [("stopped", type(error).__name__, (str(error) or noise.getvalue())[-300:])]
        line = {"checker": name, "version": version(name), "folder": folder, "seconds": time.perf_counter() - start, "findings": found}
        print(json.dumps(line), file=out, flush=True)


main()
