"""The report says what the results say, shows every figure, and needs no network."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import report, report_parts
from benchmarks.ablations import ABLATIONS, LABELS
from benchmarks.learning_table import section
from benchmarks.measurement_table import facts, measurement_of
from benchmarks.measuring import Measurement
from benchmarks.page import anchor, as_page
from benchmarks.randomness import SOURCE_TRAININGS, SWEPT_TRAININGS, Answers
from benchmarks.records import Record, read_records, write_records
from benchmarks.report import REPORT, Settings
from benchmarks.report_parts import FIGURES, Part
from benchmarks.scaling import growth, growth_of
from benchmarks.study_figures import ablation_figure
from benchmarks.tables_in_docs import CORE

RECORDS = read_records([CORE])
RUNS = [r for r in RECORDS if (r.env, r.agent) == ("TextNER-v0", "ppo")]
MEASURED = Measurement(
    what="one", unit="steps/s", rates=(2.0, 4.0), against="other", against_rates=(1.0, 1.0),
    required=5.0,
)  # fmt: skip

NUMBER = re.compile(r"-?\b\d+\.\d+\b")
"""Of a figure; last digits differ between processors."""
GROWTH = growth("an update", "slots", (8, 16, 32), [[1e-3, 2e-3], [2e-3, 4e-3], [4e-3, 8e-3]])


def renamed(env: str, names: list[str]) -> list[Record]:
    """Runs as a study would have them."""
    return [run._replace(env=env, agent=name) for name in names for run in RUNS]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("results")
    ablations = [run for env, name in LABELS for run in renamed(env, [name])]
    write_records(folder / "ablations.jsonl", ablations)
    write_records(folder / "real.jsonl", RUNS)
    variants = [*SOURCE_TRAININGS.variants, *SWEPT_TRAININGS.variants]
    write_records(folder / "randomness.jsonl", renamed("TextNER-v0", variants))
    answers = [Answers(seed, "now", t, 8, [0.5, 0.75]) for seed in (1, 2) for t in (0.0, 0.5, 1.0)]
    origin = {"git": {"commit": "1234567890123", "changed": []}}
    answers[0] = answers[0]._replace(origin=origin)
    lines = [json.dumps(each._asdict()) + "\n" for each in answers]
    (folder / "answers.jsonl").write_text("".join(lines))
    origin = {
        "command": "python -m benchmarks.throughput", "commit": "0" * 40, "versions": {"a": "1"},
        "machine": {"platform": "p", "cores": 2}, "threads": 1, "quick": False,
        "measurements": facts([MEASURED]), "growths": [GROWTH._asdict()],
    }  # fmt: skip
    (folder / "speed-agents.json").write_text(json.dumps(origin))
    return Settings(
        learning=(CORE,),
        real=folder / "real.jsonl",
        ablations=folder / "ablations.jsonl",
        randomness=folder / "randomness.jsonl",
        answers=folder / "answers.jsonl",
        speed=(folder / "speed-agents.json",),
        out=folder / "report",
    )


@pytest.fixture(scope="module")
def made(settings: Settings) -> Part:
    return report.report(settings)


def test_every_table_and_figure_is_there(made: Part) -> None:
    for env in {record.env for record in RECORDS}:
        assert section([record for record in RECORDS if record.env == env]) in made.text
    real = "`python -m benchmarks.learning --suite real --data FOLDER`"
    assert f"{len(RUNS)} trainings of {real}, {len(RUNS)} seeds." in made.text
    assert section(RUNS) in made.text
    for ablation in ABLATIONS:
        assert ablation.title in made.text
    assert re.findall(r"\]\((figures/[^)]+)\)", made.text) == list(made.images)
    assert "| one | 3 | steps/s | other | 1 | 3 [2, 4] | 5 x | NO, MISSED |" in made.text
    assert "| an update | slots | 8, 16, 32 | 1.5, 3, 6 | 1.00 [" in made.text
    for record in RECORDS:
        assert all(command in made.text for command in record.commands)
    assert "By the agents of the last line above, at commit 123456789012, unknown." in made.text
    rows = re.findall(r"(?m)^\| (\d+) \| Text\w+-v0 \|", made.text)
    kinds = re.findall(r"(?m)^(\d+)\. (.+)$", made.text[made.text.index("## Where the learning") :])
    assert set(rows) == {number for number, _ in kinds}
    assert len({kind for _, kind in kinds}) == len(kinds)


def test_figures_name_their_axes(made: Part) -> None:
    for address, svg in made.images.items():
        texts = "".join(ElementTree.fromstring(svg).itertext())  # noqa: S314  our own
        assert any(word in texts for word in ("split", "score", "times as much", "milliseconds")), (
            address
        )


class Page(HTMLParser):
    """The addresses and scripts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids |= {value or "" for name, value in attrs if name == "id"}
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone(settings: Settings, made: Part) -> None:
    report.write(made, settings.out)
    text = (settings.out / "page.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.addresses
    assert all(address.startswith(("data:image/svg+xml;", "#")) for address in page.addresses)
    inside = {address[1:] for address in page.addresses if address.startswith("#")}
    assert "learning" in inside
    assert inside <= page.ids, "every entry of the contents leads somewhere"
    assert not page.tags & {"script", "link", "iframe"}
    assert (settings.out / "report.md").read_text(encoding="utf-8") == made.text
    for address, svg in made.images.items():
        assert (settings.out / address).read_text(encoding="utf-8") == svg


def test_the_same_results_give_the_same_report(settings: Settings, made: Part) -> None:
    again = report_parts.learning_part(RECORDS)
    assert again.text in made.text
    assert all(made.images[address] == svg for address, svg in again.images.items())


def test_the_committed_report_is_that_of_the_committed_results() -> None:
    made = report.report(Settings())
    text = (REPORT / "report.md").read_text(encoding="utf-8")
    assert text == made.text, "run python -m benchmarks.report"
    figures = {path.relative_to(REPORT).as_posix(): path for path in REPORT.glob(f"{FIGURES}/*")}
    assert figures.keys() == made.images.keys(), "run python -m benchmarks.report"
    for address, svg in made.images.items():
        there, here = (NUMBER.findall(x) for x in (figures[address].read_text("utf-8"), svg))
        assert list(map(float, there)) == pytest.approx(list(map(float, here)), abs=0.01), (
            f"{address} is stale: run python -m benchmarks.report"
        )


def numbers_of(text: str) -> set[tuple[float, ...]]:
    """The numbers with a decimal and three digits in it, and those with an interval as three.

    What lies 0.2 [0.1, 0.3] below is -0.2 [-0.3, -0.1]; single numbers are taken without signs.
    """
    number = r"-?(?:\d+\.\d{2,}|\d{2,}\.\d)\b"
    found = set()
    for value, low, high, below in re.findall(
        rf"({number}) \[({number}), ({number})\]( below)?", text
    ):
        interval = float(value), float(low), float(high)
        found.add((-interval[0], -interval[2], -interval[1]) if below else interval)
    return found | {(abs(float(one)),) for one in re.findall(rf"(?<![\w.]){number}", text)}


def sections(text: str, level: str) -> dict[str, str]:
    """The anchor of a heading -> it and what follows, up to the next."""
    parts = re.split(rf"(?m)^(?={level} )", text)[1:]
    found = {anchor(part.splitlines()[0]): part for part in parts}
    assert len(found) == len(parts), "two headings have one name"
    return found


def test_numbers_with_intervals() -> None:
    below, above = numbers_of("0.20 [0.10, 0.30] below"), numbers_of("| -0.20 [-0.30, -0.10] |")
    assert below == above == {(-0.2, -0.3, -0.1), (0.2,), (0.1,), (0.3,)}
    assert numbers_of("0.20 [0.10, 0.30]") != below
    assert numbers_of("0.5 of 4, and v1.25 in 16.1") == {(16.1,)}


def test_findings_have_their_numbers_from_the_tables_that_they_show() -> None:
    """Each stands in the part of the report whose figure is above it, or that is linked."""
    findings = (REPORT.parent / "findings.md").read_text(encoding="utf-8")
    report_sections = sections((REPORT / "report.md").read_text(encoding="utf-8"), "##+")
    where = {
        address: place
        for place, part in report_sections.items()
        for address in re.findall(r"\]\((figures/[^)]+)\)", part)
    }
    count = 0
    for part in re.split(r"(?m)^(?=!\[|## )", findings)[1:]:
        figures = re.findall(r"\]\(report/(figures/[^)]+)\)", part)
        linked = re.findall(r"\]\(report/report\.md#([^)]+)\)", part)
        places = [*(where[figure] for figure in figures), *linked]
        known = set().union(*(numbers_of(report_sections[place]) for place in places))
        said = numbers_of(part)
        count += len(said)
        assert said <= known, f"not in {places}: {sorted(said - known)}"
    assert count > 50


def test_two_figures_of_one_address() -> None:
    part = Part("", {"a.svg": ""})
    with pytest.raises(ValueError, match=r"one address: a\.svg"):
        report_parts.joined([part, part])


def test_an_ablation_with_a_variant_missing() -> None:
    missing = ABLATIONS[0].variants[1]
    own = renamed(ABLATIONS[0].env, [n for n in ABLATIONS[0].variants if n != missing])
    axes = ablation_figure(ABLATIONS[0], own).axes[0]
    assert len(axes.get_lines()) == len(ABLATIONS[0].variants) - 1


def test_an_image_that_is_missing() -> None:
    with pytest.raises(KeyError, match=r"a\.svg"):
        as_page("![a](a.svg)", "t", {})


def test_what_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "speed.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"is no file of benchmarks.throughput: KeyError"):
        report_parts.speed_part(path)


def test_a_measurement_is_read_as_it_was_written() -> None:
    assert measurement_of(json.loads(json.dumps(facts([MEASURED])))[0]) == MEASURED
    assert growth_of(json.loads(json.dumps(GROWTH._asdict()))) == GROWTH
