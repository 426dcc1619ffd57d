"""Reads what the testers wrote, prints a table of it, and ends with 1 where something was found.

Usage: judge.py FOLDER. What stands in exceptions.txt is no finding; an exception that nothing needs is one.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
FINE = ("OK", "INFO", "DEBUG")

# What sslyze has to say in each of its scans.
WANTED = {
    "ssl_2_0_cipher_suites": {"is_tls_version_supported": False},
    "ssl_3_0_cipher_suites": {"is_tls_version_supported": False},
    "tls_1_0_cipher_suites": {"is_tls_version_supported": False},
    "tls_1_1_cipher_suites": {"is_tls_version_supported": False},
    "tls_1_2_cipher_suites": {"is_tls_version_supported": True},
    "tls_1_3_cipher_suites": {"is_tls_version_supported": True},
    "tls_compression": {"supports_compression": False},
    "tls_1_3_early_data": {"supports_early_data": False},
    "openssl_ccs_injection": {"is_vulnerable_to_ccs_injection": False},
    "tls_fallback_scsv": {"supports_fallback_scsv": True},
    "heartbleed": {"is_vulnerable_to_heartbleed": False},
    "robot": {"robot_result": "NOT_VULNERABLE_RSA_NOT_SUPPORTED"},
    "session_renegotiation": {
        "is_vulnerable_to_client_renegotiation_dos": False,
        "supports_secure_renegotiation": True,
    },
    "session_resumption": {},
    "elliptic_curves": {"supports_ecdh_key_exchange": True},
    "tls_extended_master_secret": {"supports_ems_extension": True},
}


def main():
    folder = Path(sys.argv[1])
    findings, checks = [], Counter()
    for name, read in TESTERS.items():
        for what, fault in read(folder):
            checks[name] += 1
            if fault:
                findings.append((name, what, fault))
    excepted = exceptions()
    left = [it for it in findings if it[:2] not in excepted]
    print(f"\n{'tester':<12}{'checks':>8}{'findings':>10}{'excepted':>10}")
    for name, count in checks.items():
        of_it = sum(it[0] == name for it in findings)
        open_ones = sum(it[0] == name for it in left)
        print(f"{name:<12}{count:>8}{open_ones:>10}{of_it - open_ones:>10}")
    for name, what, fault in findings:
        reason = excepted.get((name, what))
        print(f"\n{'excepted' if reason else 'FINDING'}: {name} {what}: {fault}" + (f"\n  {reason}" if reason else ""))
    unused = [f"{name} {what}" for name, what in excepted if (name, what) not in {it[:2] for it in findings}]
    for exception in unused:
        print(f"\nFINDING: nothing needs the exception {exception} any more")
    sys.exit(bool(left or unused))


def exceptions():
    lines = (HERE / "exceptions.txt").read_text().splitlines()
    rows = [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]
    return {(tester, what): reason for tester, what, reason in rows}


def testssl(folder):
    text = (folder / "testssl.json").read_text().rstrip().rstrip(",")
    # Where it was ended before its end, so is its list.
    found = json.loads(text if text.endswith("]") else text + "]")
    for it in found:
        fault = None if it["severity"] in FINE else f"{it['severity']}: {it['finding']}"
        yield it["id"], fault
    yield "end", None if any(it["id"] == "scanTime" for it in found) else "it did not come to its end"


def sslyze(folder):
    scans = json.loads((folder / "sslyze.json").read_text())["server_scan_results"][0]["scan_result"] or {}
    for name, wanted in WANTED.items():
        scan = scans.get(name) or {"status": "missing", "result": None}
        said = scan["result"] or {}
        wrong = [f"{key} is {said.get(key)}" for key, value in wanted.items() if said.get(key) != value]
        yield name, scan["status"] if scan["status"] != "COMPLETED" else ", ".join(wrong)


def conversations(folder):
    return ours(folder / "conversations.txt")


def frames(folder):
    return ours(folder / "frames.txt")


def ours(file):
    lines = file.read_text().splitlines()
    for line in lines:
        name, _, came = line.partition(": ")
        yield name, came if "expected: " in came or "and then" in came else None
    yield "end", None if lines and lines[-1] == "end" else "it did not come to its end"


def h2load(folder):
    for file in sorted(folder.glob("h2load-*.txt")):
        text = file.read_text()
        total = re.search(r"^requests: (\d+) total, .* (\d+) succeeded", text, re.MULTILINE)
        is_good = total and total[1] == total[2]
        yield file.stem, None if is_good else text[-400:]


def nghttp(folder):
    for file in sorted(folder.glob("nghttp-*.txt")):
        text = file.read_text()
        is_good = ":status: 200" in text and "RST_STREAM" not in text and "error_code=NO_ERROR" in text
        yield file.stem, None if is_good else text[-400:]


TESTERS = {
    "testssl.sh": testssl,
    "sslyze": sslyze,
    "tlslite-ng": conversations,
    "frames": frames,
    "h2load": h2load,
    "nghttp": nghttp,
}

main()
