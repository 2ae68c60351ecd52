"""Time the report from a million records: `python benchmarks/report_million.py`. Read, merged and rendered in under 10 s."""

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec

from reports.html import render
from reports.merge import merge
from reports.record import SPECIFICATION_VERSION, ClauseInfo, Finding, Footer, Header, Record, Verdict
from reports.results import encode, read_results

FILES, APIS, CLAUSES, MODES = 10, 50, 50, 40
LOSSES = tuple(f"loss_{number}" for number in range(5))


def make_header(file: int) -> Header:
    """Return the header of one of the files."""
    return Header(
        suite_version="0", specification_version=SPECIFICATION_VERSION, commit="0", adapter=f"adapter_{file}",
        framework="Synthetic", versions={}, python="", platform="", processor="", device="cpu", profile="thorough", seed=0,
        selection="all", questions=APIS * CLAUSES * MODES, started="", losses=dict.fromkeys(LOSSES, ""),
        clauses=[ClauseInfo(f"CLAUSE-{number}", "Title", "Sentence.") for number in range(CLAUSES)],
        bindings=[], choice_points=[], certificate=[], data_kinds=[],
    )  # fmt: skip


def make_record(file: int, api: int, clause: int, mode: int) -> Record:
    """Return a record; one in a hundred is a finding."""
    broken = (file + api * 7 + clause * 13) % 100 == 0
    verdict: Verdict = "known defect" if broken else "conforms"
    reproducer = "print(0)\n" * 40
    finding = Finding("case", "offset", "lost", "value", "[17.0, 0.0]", "0", "", "0.0", "4.14e-08", 1e7, 1e7, "ask", reproducer)
    return Record(
        loss=LOSSES[api % len(LOSSES)], api=f"package.module.api_{api}", mode=f"mode_{mode // 2}",
        dtype=("float32", "float64")[mode % 2], clause=f"CLAUSE-{clause}", verdict=verdict, rows=4096,
        worst=1e7 if broken else 0.75, reason=f"reason {clause}" if broken else "",
        finding=finding if broken else None,
    )  # fmt: skip


def write_files(folder: Path) -> list[Path]:
    """Write a million records in ten files."""
    paths = [folder / f"adapter_{file}.jsonl" for file in range(FILES)]
    for file, path in enumerate(paths):
        with path.open("wb") as stream:
            stream.write(encode(make_header(file)) + b"\n")
            for api in range(APIS):
                for clause in range(CLAUSES):
                    stream.writelines(encode(make_record(file, api, clause, mode)) + b"\n" for mode in range(MODES))
            stream.write(encode(Footer(APIS * CLAUSES * MODES, True, [], [], 0, 0.0, 0.0, 0.0, 0.0, 0.0)) + b"\n")
    return paths


def main() -> None:
    """Print the time of each step, the size of the page and the peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder))
        begin = time.perf_counter()
        results, problems = read_results(paths)
        read = time.perf_counter()
        page = render(results, problems)
        rendered = time.perf_counter()
        data = msgspec.json.encode(merge(results, problems))
        end = time.perf_counter()
    print(f"{sum(len(result.records) for result in results):,} records, {sum(map(len, problems))} problems")
    print(f"read {read - begin:.1f} s, rendered {rendered - read:.1f} s, merged data {end - rendered:.1f} s")
    print(f"together {end - begin:.1f} s of 10 s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"page {len(page.encode()) / 1e6:.2f} MB, merged data {len(data) / 1e6:.0f} MB, peak memory {peak:.1f} GiB")


if __name__ == "__main__":
    main()
