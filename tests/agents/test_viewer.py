"""The page of a run: text stays text, and a browser shows what the data says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from agents import AgentError
from agents.traces import Step, Trace
from agents.viewer import RunData, page, read_run

playwright = pytest.importorskip(
    "playwright.sync_api", reason='pip install "playwright>=1.50" lets tests drive a browser'
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EVIL = "</script><img src=x onerror=\"window.hit = 1\"><b>&amp; '\u2028'"


def step(place: int, words: str, likely: float | None = 0.5, **changes: Any) -> Step:
    given = {
        "token": words,
        "appended": "",
        "probability": likely,
        "entropy": None if likely is None else 0.25 + place / 100,
        "value": 0.125 + place / 1000,
        "advantage": -0.25 + place / 1000,
        "reward": 0.0,
        "legal": 7,
        "alternatives": [(words, likely or 0.625), ("▁other", 0.1875), ("third", -0.0624)],
    }
    return Step(**(given | changes))


def trace(index: int, score: float, *words: str, **changes: Any) -> Trace:
    words = words or ("▁one", "two", "three")
    likely = changes.pop("likely", 0.5)
    steps = [step(place, word, likely) for place, word in enumerate(words)]
    given = {
        "index": index,
        "prompt": f"What is example {index}?",
        "text": "".join(words).replace("▁", " ").strip(),
        "score": score,
        "metrics": {"f1": score, "correct": 3.0},
        "steps": steps,
    }
    return Trace(**(given | changes))


SCORES = [0.5, 0.125, 1.0, 0.25, 0.875, 0.0, 0.75, 0.375]
CURVE = [
    {"timesteps": 1000 * n, "seconds": 30.0 * n, "value": n / 8, "low": n / 9, "high": n / 7}
    for n in range(5)
]
FIRST = RunData(
    name="runs/first",
    about="PPO after 4,000 actions",
    score_name="f1",
    scores={"random": {"f1": [0.1, 0.05, 0.15]}, "PPO": {"f1": [0.8125, 0.75, 0.875]}},
    curve=CURVE,
    metrics={"rollout/reward": [[500 * n, n / 16] for n in range(9)]},
    traces=[
        *(trace(10 * n, score) for n, score in enumerate(SCORES)),
        trace(80, 0.625, "▁a", "▁pelican", *["x"] * 8),
    ],
)
SECOND = RunData(
    name="runs/second",
    about="DQN after 3,000 actions",
    score_name="f1",
    scores={"random": {"f1": [0.1, 0.05, 0.15]}, "DQN": {"f1": [0.5, 0.4, 0.6]}},
    curve=CURVE[:3],
    traces=[
        trace(10 * n, 1 - score, "▁sent", "▁back", likely=None) for n, score in enumerate(SCORES)
    ],
)


def content_of(html: str) -> Any:
    return json.loads(html.partition('id="data">')[2].partition("</script>")[0])


# The page as text -------------------------------------------------------------------------------


class Tags(HTMLParser):
    """The tags of a page, as a browser that runs no scripts finds them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)


def evil_run() -> RunData:
    """Where text can come from, tags do."""
    steps = [step(0, EVIL, appended=EVIL, alternatives=[(EVIL, 0.5), ("b", 0.25)]), step(1, EVIL)]
    told = trace(3, 0.5, prompt=EVIL, text=EVIL, metrics={EVIL: 0.5}, steps=steps)
    return RunData(
        name=EVIL,
        about=EVIL,
        score_name=EVIL,
        scores={EVIL: {EVIL: [0.5, 0.25, 0.75]}},
        curve=CURVE,
        metrics={EVIL: [[1, 0.5], [2, 0.75]]},
        traces=[told],
    )


def test_what_comes_from_data_is_no_code() -> None:
    html = page(EVIL, [evil_run()], EVIL)
    plain = page("plain", [FIRST], "plain")
    assert Tags(html).found == Tags(plain).found
    content = content_of(html)
    (told,) = content["runs"][0]["episodes"]
    assert [content["prompts"]["3"], told["x"], content["about"], content["names"][0]] == [EVIL] * 4


def test_the_page_needs_no_network() -> None:
    html = page("title", [FIRST, SECOND])
    assert set(re.findall(r"\w+://[^\"'\s)]*", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(src|href)=\"(?!data:)", html)


def test_what_is_no_number_becomes_null() -> None:
    nan, inf = float("nan"), float("inf")
    told = trace(0, nan, metrics={"f1": inf}, steps=[step(0, "a", value=nan, advantage=-inf)])
    run = RunData(
        name="run", about="", metrics={"loss": [[1, nan], [2, 0.0000123456]]}, traces=[told]
    )
    (found,) = content_of(page("title", [run]))["runs"]
    assert found["metrics"]["loss"] == [[1, None], [2, 0.000012346]]
    (episode,) = found["episodes"]
    assert (episode["s"], episode["m"]["f1"], episode["v"], episode["d"]) == (
        None,
        None,
        [None],
        [None],
    )


def test_each_name_is_written_once() -> None:
    content = content_of(page("title", [FIRST]))
    assert len(content["names"]) == len(set(content["names"]))
    (first, *_) = content["runs"][0]["episodes"]
    assert [content["names"][number] for number in first["a"]] == ["▁one", "two", "three"]
    assert first["p"] == [0.5] * 3
    assert content["names"][first["k"][0][2]] == "▁other"
    assert first["k"][0][3] == 0.1875


def test_a_run_is_read_from_its_folder(tmp_path: Path) -> None:
    scores = {"PPO": {name: {"value": 0.5, "low": 0.25, "high": 0.75} for name in ("f1", "PER/f1")}}
    (tmp_path / "results.json").write_text(json.dumps({"score_name": "f1", "scores": scores}))
    lines = [{"step": n, "loss": n / 2, "seen": "text"} for n in range(1000)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    whole = json.dumps({"timesteps": 1, "seconds": 2, "value": 0, "low": 0, "high": 1, "x": 3})
    (tmp_path / "curve.jsonl").write_text(f'{whole}\n{{"timesteps": 2, "sec')
    run = read_run(tmp_path, "name", [trace(0, 1.0)])
    assert run.scores == {"PPO": {"f1": [0.5, 0.25, 0.75]}}
    assert run.curve == [{"timesteps": 1, "seconds": 2, "value": 0, "low": 0, "high": 1}]
    assert list(run.metrics) == ["loss"]
    assert len(run.metrics["loss"]) <= 400
    assert run.metrics["loss"][-1] == [999, 499.5]
    assert run.metrics["loss"] == sorted(run.metrics["loss"])


def test_a_checkpoint_alone_has_episodes_only(tmp_path: Path) -> None:
    run = read_run(tmp_path, "name", [trace(0, 1.0)])
    assert (run.scores, run.curve, run.metrics) == ({}, [], {})
    assert "no scores of the test split" in content_of(page("title", [run]))["scored"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("results.json", "{"),
        ("results.json", "[1]"),
        ("results.json", '{"scores": {"PPO": {"f1": 0.5}}}'),
        ("metrics.jsonl", "nothing\n"),
        ("metrics.jsonl", '{"loss": 1}\n'),
        ("curve.jsonl", '{"timesteps": 1}\n'),
    ],
)
def test_files_that_no_run_writes_are_an_error(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(AgentError, match="is not the folder of a run"):
        read_run(tmp_path, "name", [])


# The page in a browser --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: install one of {', '.join(BROWSERS)} (apt install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


Open = Callable[..., Any]


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page about some runs; in the end there must be no errors and no requests."""
    contexts: list[Any] = []
    trouble: list[str] = []

    def open_page(*runs: RunData, title: str = "title", about: str = "", **options: Any) -> Any:
        file = tmp_path / "page.html"
        file.write_text(page(title, runs, about), "utf-8")
        contexts.append(
            browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        )
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        address = file.as_uri()
        known = (address, "data:,")
        tab.on("request", lambda r: None if r.url in known else trouble.append(r.url))
        tab.goto(address)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def rows(tab: Any) -> list[tuple[str, str]]:
    """The episodes of the list: scores, and the number of the example."""
    found = tab.locator(".row").evaluate_all(
        "rows => rows.map(row => [row.querySelector('b').textContent, row.innerText])"
    )
    return [(scores, re.search(r"example (\d+)", text)[1]) for scores, text in found]


def facts(tab: Any) -> dict[str, str]:
    """The numbers of the chosen token by label."""
    pairs = tab.locator(".token-facts span").evaluate_all(
        "spans => spans.map(span => [span.firstChild.textContent.trim(), "
        "span.querySelector('b').textContent])"
    )
    return dict(pairs)


def test_scores_are_a_table(shown: Open) -> None:
    tab = shown(FIRST, SECOND, about="about both")
    table = [row.split("\t") for row in tab.locator("#scores table").inner_text().splitlines()]
    cells = {row[0].strip(): row[1].strip() for row in table if len(row) == 2}
    assert cells["random"] == "0.100 [0.050, 0.150]"
    assert len(table) == 4  # a head, and each player once
    assert any("0.813 [0.750, 0.875]" in value for value in cells.values())
    assert tab.locator("#about").inner_text() == "about both"
    assert tab.title() == "title"


def test_the_list_shows_the_episodes_with_their_scores(shown: Open) -> None:
    tab = shown(FIRST)
    expected = [(f"{score:.3f}", str(10 * n)) for n, score in enumerate(SCORES)]
    assert rows(tab) == [*expected, ("0.625", "80")]
    assert tab.locator("#count").inner_text() == "9 of 9"
    assert tab.locator("#detail h3").first.inner_text() == "Example 0"
    assert tab.locator(".prompt").inner_text() == "What is example 0?"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("PELICAN", ["80"]), ("example 7", ["70"]), ("70", ["70"]), ("nothing like it", [])],
)
def test_episodes_are_found_by_text_and_number(shown: Open, wanted: str, found: list[str]) -> None:
    tab = shown(FIRST)
    tab.locator("#find").fill(wanted)
    assert [index for _, index in rows(tab)] == found
    assert tab.locator("#count").inner_text() == f"{len(found)} of 9"
    detail = tab.locator("#detail").inner_text()
    assert detail.startswith(f"Example {found[0]}" if found else "no episode fits")


def test_episodes_are_chosen_by_their_score(shown: Open) -> None:
    tab = shown(FIRST)
    tab.locator("#low").fill("0.25")
    tab.locator("#high").fill("0.625")
    assert [float(score) for score, _ in rows(tab)] == [0.5, 0.25, 0.375, 0.625]
    tab.locator("#high").fill("")
    assert len(rows(tab)) == 7


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("worst", ["0.000", "0.125", "0.250"]),
        ("best", ["1.000", "0.875", "0.750"]),
        ("longest", ["0.625", "0.500", "0.125"]),
        ("surprise", ["0.500", "0.125", "1.000"]),
    ],
)
def test_episodes_are_ordered(shown: Open, order: str, first: list[str]) -> None:
    tab = shown(FIRST)
    tab.locator("#order").select_option(order)
    assert [score for score, _ in rows(tab)][:3] == first
    assert f"return {first[0]}" in tab.locator(".run h3").inner_text()


def test_keys_lead_through_episodes_and_tokens(shown: Open) -> None:
    tab = shown(FIRST)
    keys = tab.keyboard
    for key, example in (("ArrowDown", 10), ("ArrowDown", 20), ("ArrowUp", 10)):
        keys.press(key)
        assert tab.locator("#detail h3").first.inner_text() == f"Example {example}"
        assert tab.locator(".row[aria-selected=true]").inner_text().count(f"example {example},")
    for key, place in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowRight", 3), ("ArrowLeft", 2)):
        keys.press(key)
        assert facts(tab)["action"] == f"{place} of 3"
        assert (
            tab.locator(".token[aria-pressed=true]").inner_text()
            == ["one", "two", "three"][place - 1]
        )
    before = tab.locator("#colour").input_value()
    background = "element => getComputedStyle(element).backgroundColor"
    tinted = tab.locator(".token").first.evaluate(background)
    keys.press("c")
    assert tab.locator("#colour").input_value() != before
    assert tab.locator(".token").first.evaluate(background) != tinted
    keys.press("/")
    assert tab.evaluate("document.activeElement.id") == "find"
    keys.type("c/r")
    assert tab.locator("#find").input_value() == "c/r"  # what is typed is no command
    keys.press("Escape")
    assert tab.evaluate("document.activeElement.id") != "find"


def test_a_click_on_an_episode_or_token_shows_it(shown: Open) -> None:
    tab = shown(FIRST)
    tab.locator(".row").nth(8).click()
    tab.locator(".token").nth(1).click()
    told = FIRST.traces[8].steps[1]
    assert facts(tab) == {
        "action": "2 of 10",
        "probability": f"{told.probability:.3f}",
        "entropy": f"{told.entropy:.3f} nats",
        "value": f"{told.value:.3f}",
        "advantage": f"{told.advantage:+.3f}",
        "reward": "0.000",
        "legal": "7",
    }
    cells = [text.strip() for text in tab.locator(".alternatives > span").all_inner_texts()]
    names = [token.replace("▁", " ").strip() for token, _ in told.alternatives]
    assert cells[::2] == names
    assert cells[1::2] == [f"{score:.3f}" for _, score in told.alternatives]
    assert tab.locator(".alternatives .taken").inner_text().strip() == "pelican"
    tip = tab.locator(".token").nth(1).get_attribute("title")
    assert f"probability {told.probability:.3f}" in tip
    assert f"advantage {told.advantage:+.3f}" in tip


def test_two_runs_are_compared_on_the_same_example(shown: Open) -> None:
    tab = shown(FIRST, SECOND)
    assert rows(tab)[:2] == [("0.500 / 0.500", "0"), ("0.125 / 0.875", "10")]
    assert rows(tab)[8] == ("0.625 / –", "80")
    tab.locator("#order").select_option("difference")
    assert {index for _, index in rows(tab)[:2]} == {"20", "50"}  # 1 and 0
    assert tab.locator("#detail h3").all_inner_texts()[1:] == [
        "runs/first: return 1.000",
        "runs/second: return 0.000",
    ]
    assert "probability" in facts(tab)
    tab.keyboard.press("r")
    assert tab.locator(".run.chosen h3").inner_text().startswith("runs/second")
    assert "probability" not in facts(tab)
    assert facts(tab)["value"] == "0.125"
    assert "Actions of highest value" in tab.locator(".run.chosen").inner_text()
    tab.locator("#find").fill("sent back")
    assert len(rows(tab)) == 8


def test_the_curve_is_read_under_the_pointer(shown: Open) -> None:
    tab = shown(FIRST)
    box = tab.locator("#curve svg").bounding_box()
    left, right, width = 56, 30, 900  # of the drawing, in its own units
    for point in (CURVE[1], CURVE[3]):
        share = point["timesteps"] / CURVE[-1]["timesteps"]
        across = (left + share * (width - left - right)) / width
        tab.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] / 2)
        assert tab.locator("#reading").inner_text() == (
            f"{point['timesteps']:,} actions: {point['value']:.3f} "
            f"[{point['low']:.3f}, {point['high']:.3f}]"
        )
    tab.locator("#over").select_option("seconds")
    tab.locator("#curve svg").focus()
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#reading").inner_text().startswith("1.5 minutes: 0.375 ")


def test_other_numbers_have_curves_too(shown: Open) -> None:
    gap = RunData(name="gap", about="", metrics={"loss": [[1, 0.5], [2, float("nan")], [3, 0.75]]})
    tab = shown(FIRST, gap)
    tab.locator("#metric").select_option("rollout/reward")
    tab.locator("#curve svg").focus()
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#reading").inner_text() == "3,500 actions: runs/first 0.438"
    tab.locator("#metric").select_option("loss")
    points = tab.locator("#curve polyline").get_attribute("points").split()
    assert len(points) == 2  # where there is no number there is no point
    assert "NaN" not in " ".join(points)


def test_a_checkpoints_page_says_what_is_not_there(shown: Open) -> None:
    tab = shown(RunData(name="alone", about="", traces=FIRST.traces))
    assert "no numbers were recorded" in tab.locator("#curve").inner_text()
    assert "no scores of the test split" in tab.locator("#scores").inner_text()
    assert len(rows(tab)) == 9


def test_tags_in_the_data_are_shown_as_they_are(shown: Open) -> None:
    tab = shown(evil_run(), title=EVIL, about=EVIL)
    tab.locator(".token").nth(1).click()
    tab.locator("#metric").select_option(index=1)
    tab.locator("#curve svg").focus()
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("window.hit") is None
    assert tab.locator("img").count() == 0
    for place in ("#about", ".prompt", ".appended", ".row", ".token >> nth=1", "h1"):
        assert EVIL[:20] in tab.locator(place).first.text_content()
    assert tab.title().startswith("</script>")


def test_the_dark_is_dark(shown: Open) -> None:
    tab = shown(FIRST, color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.body).color"
    light = tab.evaluate(background), tab.evaluate(ink)
    tab.emulate_media(color_scheme="dark")
    dark = tab.evaluate(background), tab.evaluate(ink)
    brightness = [[sum(map(int, re.findall(r"\d+", c))) for c in both] for both in (light, dark)]
    assert brightness[0][0] > brightness[0][1]
    assert brightness[1][0] < brightness[1][1]


def test_a_thousand_episodes_cost_a_screenful(shown: Open) -> None:
    many = RunData(name="many", about="", traces=[trace(n, n / 1000) for n in range(1000)])
    tab = shown(many)
    assert tab.locator("#count").inner_text() == "1,000 of 1,000"
    assert 5 < tab.locator(".row").count() < 100
    tab.locator("#list").evaluate("list => { list.scrollTop = list.scrollHeight; }")
    tab.locator("#row-999").wait_for()
    assert rows(tab)[-1] == ("0.999", "999")
    assert 5 < tab.locator(".row").count() < 100
    tab.locator("#row-999").click()
    assert tab.locator("#detail h3").first.inner_text() == "Example 999"
    assert tab.evaluate("document.querySelectorAll('*').length") < 600


@pytest.mark.parametrize("width", [320, 800])
def test_narrow_screens_need_no_scrolling_sideways(shown: Open, width: int) -> None:
    long = trace(90, 0.5, "x" * 300, *["▁word"] * 60, prompt="y" * 500)
    wide = {f"metric_{n}": [0.5, 0.25, 0.75] for n in range(12)}
    run = RunData(name="a" * 80, about="b " * 90, scores={"PPO": wide}, curve=CURVE, traces=[long])
    tab = shown(run, title="z" * 120, viewport={"width": width, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
