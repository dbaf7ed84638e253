"""The page of a report, in Chromium."""

import csv
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import yaml
from helpers.runs import CARTPOLE, make_run, write_monitor
from playwright.sync_api import Browser, Page, sync_playwright

from sb3_fpac import FPAC, save_weights
from sb3_fpac.evaluation.curves import group_curves
from sb3_fpac.evaluation.parts import read_runs
from sb3_fpac.evaluation.runs import Run, read_run
from sb3_fpac.report.agent import AgentSection, show_agent
from sb3_fpac.report.groups import group_runs
from sb3_fpac.report.page import render, write_agent_report
from sb3_fpac.version import __version__
from sb3_fpac.visualization.episode import Episode, View

pytestmark = pytest.mark.slow  # as Chromium must be installed

N_FRAMES, N_POINTS, SIZE = 30, 4, 24


@pytest.fixture(scope="module")
def agent(zoo_run) -> AgentSection:
    """Four points whose places are known: x = 4 + 5k, y = 10, and a pixel to the right every ten steps"""
    rng = np.random.default_rng(0)
    positions = np.zeros((N_FRAMES, N_POINTS, 2))
    positions[..., 0] = 4 + 5 * np.arange(N_POINTS) + (np.arange(N_FRAMES) // 10)[:, None]
    positions[..., 1] = 10
    real = show_agent(read_run(zoo_run))
    view = View(
        frames=rng.integers(0, 60, (N_FRAMES, SIZE, SIZE, 3), np.uint8),
        points=np.concatenate([positions / SIZE, np.full((N_FRAMES, N_POINTS, 1), 0.5)], axis=-1),
        positions=positions,
        past_positions=positions - 1,
    )
    episode = Episode(
        observations=np.zeros((N_FRAMES, 6, SIZE, SIZE), np.uint8),
        views={None: view},
        actions=np.zeros((N_FRAMES, 1)),
        rewards=np.ones(N_FRAMES),
    )
    colours = np.array([[255, 0, 0], [0, 255, 0], [255, 255, 0], [0, 255, 255]], np.uint8)
    ranking = np.array([0.1, 0.4, 0.2, 0.3])
    order = np.argsort(-ranking)
    ranked = dict(ranking_action=ranking, ranking_value=None, names=["0", "1", "2", "3"], order=order)
    return replace(real, episode=episode, colours=colours, **ranked)


@pytest.fixture(scope="module")
def report(tmp_path_factory, agent) -> Path:
    folder = tmp_path_factory.mktemp("report")
    steps = 1250 * np.arange(1, 21)
    rng = np.random.default_rng(1)
    runs = []
    for algo, seed, final in (("fpac", 1, 800), ("fpac", 2, 850), ("sac", 1, 400)):
        returns = np.linspace(0, final, 20)[:, None] + rng.normal(0, 20, (20, 3))
        run = make_run(folder / f"{algo}_{seed}", algo=algo, seed=seed, steps=steps, returns=returns, tau=0.01)
        write_monitor(run / "0.monitor.csv", [(1.0, 1250, 6.0 * i * seed) for i in range(1, 21)])
        runs.append(read_run(run))
    path = folder / "report.html"
    path.write_text(render(group_runs(runs), agent, ["Not shown: sac, seed 1. No model has been saved."]))
    return path


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("The page of a report is tested in Chromium, which is missing: apt-get install chromium")
    quiet = ["quic", "first-run", "background-networking", "component-update", "sync"]
    switches = ["--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=switches)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, report: Path):
    """Opens the page; in the end, nothing may have gone wrong in it"""
    problems: list[str] = []
    contexts = []

    def open_page(width: int = 1100, height: int = 900, **options) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url[:80]}"))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or problems.append(request.url[:80]))
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def hover_step(page: Page, fraction: float) -> str:
    box = page.locator(".plot").bounding_box()
    page.mouse.move(box["x"] + fraction * box["width"], box["y"] + box["height"] / 2)
    return page.locator(".tooltip").inner_text()


def test_hovering_tells_the_numbers_of_the_evaluation(open_page, report):
    page = open_page()
    page.locator(".plot").scroll_into_view_if_needed()
    assert page.locator(".tooltip").is_hidden()
    text = hover_step(page, 0.51)  # 200,000 env steps are the whole width: 100,000 is the nearest evaluation
    curves = group_curves(
        group_runs(read_runs(sorted(folder.parent for folder in report.parent.glob("*/evaluations.npz")))), seed=0
    )
    expected = ["100,000 env steps: mean [band], IQM"]
    for curve in curves:
        mean, low, high, iqm = (values[9] for values in (curve.mean, curve.low, curve.high, curve.iqm))
        expected.append(f"{curve.label} {mean:.0f} [{low:.0f}, {high:.0f}], IQM {iqm:.0f}")
    assert re.split(r"\n+", text) == expected

    page.locator("[data-toggles=line-1]").click()
    assert page.locator("polyline.mean").nth(1).is_hidden() and "sac" not in hover_step(page, 0.51)
    page.locator(".plot").focus()
    page.keyboard.press("End")
    assert page.locator(".tooltip").inner_text().startswith("200,000 env steps")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".tooltip").inner_text().startswith("190,000 env steps")
    page.keyboard.press("Escape")
    assert page.locator(".tooltip").is_hidden()


def test_the_tooltip_stays_beside_the_pointer_and_inside_the_page(open_page):
    page = open_page(width=360, height=740)
    for fraction in (0.01, 0.5, 0.99):
        hover_step(page, fraction)
        box = page.locator(".tooltip").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_the_numbers_stay_after_a_tap_until_the_next_one_elsewhere(open_page):
    page = open_page(width=390, height=740, has_touch=True)
    page.locator(".plot").scroll_into_view_if_needed()
    page.locator(".plot").tap()
    page.wait_for_timeout(200)  # for the events of a mouse that follow a tap
    assert page.locator(".tooltip").inner_text().startswith("100,000 env steps")
    page.locator("h1").tap()
    page.wait_for_function("document.querySelector('.tooltip').hidden")


def test_the_switch_shows_the_curves_over_wall_time(open_page):
    page = open_page()
    page.locator(".plot").scroll_into_view_if_needed()
    time, steps = page.get_by_role("button", name="Wall time"), page.get_by_role("button", name="Env steps")
    means = page.locator("polyline.mean")
    assert means.count() == 4 and means.nth(0).is_visible() and means.nth(2).is_hidden()
    time.click()
    assert (time.get_attribute("aria-pressed"), steps.get_attribute("aria-pressed")) == ("true", "false")
    assert means.nth(0).is_hidden() and means.nth(2).is_visible() and means.nth(3).is_visible()
    assert page.locator(".axis.end:visible").inner_text() == "minutes"
    assert page.locator("g.mark").first.is_hidden()  # nobody has published the wall time
    text = hover_step(page, 0.75)  # of 4 minutes: the mean of 2 and 4, in which the seeds have trained to their ends
    assert text.startswith("3.00 minutes: mean") and text.endswith(", after 200,000 env steps")
    page.locator("[data-toggles=line-0]").click()
    assert means.nth(2).is_hidden() and hover_step(page, 0.99).startswith("2.00 minutes: mean")
    steps.click()
    assert means.nth(0).is_hidden() and means.nth(1).is_visible() and page.locator("g.mark").first.is_visible()


def test_the_numbers_can_be_downloaded(open_page):
    page = open_page()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the numbers as CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert download.value.suggested_filename == f"{CARTPOLE}-curves.csv"
    assert lines[0].startswith("name,kind,seed,steps,hours,return") and len(lines) == 1 + 2 * 20 + 3 * 20 + 3


def test_the_legend_hides_published_scores(open_page):
    page = open_page()
    marks = page.locator(".plot [data-part^=mark]")
    assert marks.count() == 3 and marks.nth(0).is_visible()
    button = page.get_by_role("button", name="DrQ", exact=True)
    button.click()
    assert button.get_attribute("aria-pressed") == "false" and marks.nth(0).is_hidden() and marks.nth(1).is_visible()
    button.click()
    assert marks.nth(0).is_visible()


def stepper_of(page: Page):
    page.wait_for_selector(".stepper:not([hidden]) canvas[data-step]")
    return page.locator(".stepper canvas")


def step_of(page: Page) -> int:
    return int(page.locator(".stepper canvas").get_attribute("data-step"))


def pixel(page: Page, x: float, y: float) -> list[int]:
    """Of the canvas, at a place in pixels of the frame"""
    return page.locator(".stepper canvas").evaluate(
        f"(c, [x, y]) => {{ const s = c.width / {SIZE}; return"
        " [...c.getContext('2d').getImageData(Math.floor((x + 0.5) * s), Math.floor((y + 0.5) * s), 1, 1).data].slice(0, 3) }",
        [x, y],
    )


def test_slider_buttons_and_keys_step_through_the_frames(open_page, agent):
    page = open_page()
    stepper_of(page)
    assert step_of(page) == 1 and page.locator("output").inner_text() == f"Step 1 of {N_FRAMES}, return so far 1.0"
    slider = page.get_by_role("slider")
    slider.fill("12")
    assert step_of(page) == 13
    assert pixel(page, 3, 20) == agent.episode.frames[12, 20, 3].tolist()  # frame 12 is what is drawn, pixel by pixel
    page.get_by_role("button", name="Next step").click()
    page.get_by_role("button", name="Next step").click()
    page.get_by_role("button", name="Previous step").click()
    assert step_of(page) == 14 and slider.input_value() == "13"
    for key, expected in (("ArrowRight", 15), ("ArrowLeft", 14), ("End", N_FRAMES), ("ArrowRight", N_FRAMES), ("Home", 1)):
        page.locator("canvas").press(key)
        assert step_of(page) == expected
        slider.fill(str(expected - 1))
    slider.press("ArrowRight")
    assert step_of(page) == 2
    slider.fill(str(N_FRAMES - 1))
    assert pixel(page, 20, 3) == agent.episode.frames[-1, 3, 20].tolist()  # the second row of the sprite


def test_a_point_that_is_clicked_is_followed_through_all_frames(open_page, agent):
    page = open_page()
    canvas = stepper_of(page)
    ring = 1.5 * 0.875 + 0.9  # m = 0.5: radius of the disc, and how far the ring is from it
    beside = pixel(page, 4 + 5 * 2, 10 - ring)
    assert max(beside) < 200
    box = canvas.bounding_box()
    place = {"x": (4 + 5 * 2 + 0.5 + 0.6) / SIZE * box["width"], "y": 10.5 / SIZE * box["height"]}
    canvas.click(position=place)
    for step in (0, 9, 10, N_FRAMES - 1):
        page.get_by_role("slider").fill(str(step))
        assert canvas.get_attribute("data-chosen") == "2"
        x, y = agent.episode.positions[step, 2]
        assert pixel(page, x, y - ring) == [255, 255, 255] and pixel(page, x, y) == [255, 255, 0]
        assert pixel(page, *(agent.episode.positions[step, 1] - [0, ring])) != [255, 255, 255]
    entries = page.locator("[data-point]")
    assert [entry.get_attribute("data-point") for entry in entries.all()] == ["1", "3", "2", "0"]
    assert [entry.get_attribute("aria-pressed") for entry in entries.all()] == ["false", "false", "true", "false"]

    entries.nth(0).click()
    assert canvas.get_attribute("data-chosen") == "1, 2" and "points 1, 2" in page.locator("output").inner_text()
    entries.nth(2).click()
    assert canvas.get_attribute("data-chosen") == "1"
    page.keyboard.press("Home")
    assert step_of(page) == 1
    page.keyboard.press("Escape")
    assert canvas.get_attribute("data-chosen") == ""
    canvas.click(position={"x": 5, "y": 5})  # far from any point
    assert canvas.get_attribute("data-chosen") == ""


def test_every_camera_has_a_canvas_and_its_points_are_followed(open_page, agent, tmp_path):
    front = agent.episode.view
    wrist = replace(front, frames=front.frames[:, :18, :, :1])
    names = [*(f"{key}:{k}" for key in ("front", "wrist") for k in range(N_POINTS)), "joints[0]"]
    ranked = dict(names=names, ranking_action=np.arange(1.0, 10.0), order=np.arange(9)[::-1])
    episode = replace(agent.episode, views=dict(front=front, wrist=wrist))
    two_cameras = replace(agent, episode=episode, colours=np.concatenate([agent.colours] * 2), **ranked)
    path = tmp_path / "report.html"
    path.write_text(render(group_runs([read_run(make_run(tmp_path / "run"))]), two_cameras))
    page = open_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".stepper:not([hidden]) canvas[data-step]")
    canvases = page.locator(".stepper canvas").all()
    boxes = [canvas.bounding_box() for canvas in canvases]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["height"] == pytest.approx(boxes[1]["height"], abs=1)
    canvases[1].click(position={"x": (4 + 5 * 2 + 0.5) / SIZE * boxes[1]["width"], "y": 10.5 / 18 * boxes[1]["height"]})
    assert [canvas.get_attribute("data-chosen") for canvas in canvases] == ["wrist:2"] * 2
    assert canvases[1].get_attribute("aria-label").startswith("Frame of step 1 of the camera wrist with")
    assert page.locator("[data-point][aria-pressed=true]").inner_text().split()[0] == "wrist:2"
    page.get_by_role("button", name="front:3").click()
    assert "points front:3, wrist:2" in page.locator("output").inner_text()
    assert page.locator(".ranking li").count() == 9 and page.get_by_role("button", name="joints[0]").count() == 0
    for width in (360, 768):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_the_video_plays(open_page):
    page = open_page()
    video = page.locator("video")
    page.wait_for_function("document.querySelector('video').readyState >= 2 || document.querySelector('video').error")
    assert video.evaluate("video => video.error") is None
    assert video.evaluate("video => video.muted && video.playsInline && video.controls && video.videoWidth > 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1100])
def test_it_fits_every_screen(open_page, tmp_path, width, scheme):
    page = open_page(width=width, height=800, color_scheme=scheme)
    stepper_of(page)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_print_shows_curves_tables_and_the_frame_on_white(open_page):
    page = open_page(width=718, color_scheme="dark")
    stepper_of(page)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    for selector in ("polyline.mean", "polygon.band", ".scores", ".hyperparameters", "canvas", ".ranking", ".maps"):
        assert page.locator(selector).first.is_visible(), selector
    for selector in ("video", ".controls", "#stepper-help"):
        assert page.locator(selector).is_hidden(), selector


def test_without_javascript_curves_and_tables_are_there(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("polyline.mean").nth(1).is_visible() and page.locator(".scores").is_visible()
    assert page.locator("video").is_visible() and page.locator(".stepper").is_hidden()
    assert page.get_by_text("Not shown: sac, seed 1. No model has been saved.").is_visible()


def test_everything_to_be_used_has_a_name(open_page):
    page = open_page()
    stepper_of(page)
    nameless = """[...document.querySelectorAll("button, input, canvas, img, video, [role=img], [tabindex]")]
        .filter((element) => !(element.ariaLabel || element.alt || element.textContent.trim()))
        .map((element) => element.outerHTML)"""
    assert page.evaluate(nameless) == []
    assert page.evaluate("document.documentElement.lang") == "en" and page.title() == CARTPOLE


HOSTILE = (
    '<script>window.ran = 1</script>"><img src=x onerror="window.ran = 1">'
    "' onfocus='window.ran = 1' </title></style>{{ 7 * 7 }}"
)


def hostile_run(folder: Path, name: str, number: int) -> Run:
    """A run whose files have this text wherever a text can be"""
    text = f"{name}{HOSTILE}"
    run = make_run(folder / f"{number}{text.replace('/', '')}", env="task", **{f"key{text}": f"value{text}"})
    args = dict(env=f"task{HOSTILE}", algo=f"algo{text}", seed=f"seed{text}", trained_agent=f"trained_agent{text}")
    (run / "task" / "args.yml").write_text(yaml.safe_dump(args))
    if number == 1:  # of an experiment
        (run / "run.yml").write_text(yaml.safe_dump(dict(label=f"label{text}", variant=text)))
    steps = "time/total_timesteps"
    with (run / "progress.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[steps, f"train/{name}{HOSTILE}_loss"], [1250, 0.5], [2500, 0.25]])
    with zipfile.ZipFile(run / "best_model.zip", "w") as archive:
        archive.writestr("system_info.txt", f"- version{text}: number{text}")
    write_monitor(run / "0.monitor.csv", [(1.0, 1250, 60.0), (1.0, 1250, 120.0)])
    return read_run(run)


def test_no_text_of_a_run_becomes_part_of_the_page(open_page, agent, tmp_path):
    runs = [hostile_run(tmp_path, f"({number})", number) for number in (1, 2)]
    key = f"camera{HOSTILE}"
    names = [f"{key}:{k}" for k in range(N_POINTS)]
    episode = replace(agent.episode, views={key: agent.episode.view})
    shown = replace(agent, name=f"agent{HOSTILE}", episode=episode, names=names)
    path = tmp_path / "report.html"
    path.write_text(render(group_runs(runs), shown, [f"Not shown: {HOSTILE}."]), encoding="utf-8")
    page = open_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".stepper:not([hidden]) canvas[data-step]")
    hover_step(page, 0.5)
    page.locator("[data-point]").first.click()
    for button in page.get_by_role("button").all():
        if button.is_visible():
            button.click()
    assert page.evaluate("window.ran") is None and page.title() == f"task{HOSTILE}"
    text = page.locator("body").text_content()
    both = [f"{what}({number})" for what in ("key", "value", "seed", "version", "number", "") for number in (1, 2)]
    for name in ("label(1)", "algo(2)", "trained_agent(2)", *both):
        assert f"{name}{HOSTILE}" in text, name
    for whole in (f"task{HOSTILE}", f"agent{HOSTILE}", f"camera{HOSTILE}:0", f"Not shown: {HOSTILE}."):
        assert whole in text
    assert page.locator("script").count() == 2 and page.locator("img").count() == 1 and page.locator("[onfocus]").count() == 0


def test_the_agent_of_a_file_of_weights_has_a_page_of_its_own(open_page, tmp_path):
    model = FPAC("CnnPolicy", gym.make(CARTPOLE, size=24, time_limit=0.4), buffer_size=1, policy_kwargs=dict(net_arch=[8]))
    save_weights(model, tmp_path / "agent.safetensors")
    options = dict(env_kwargs=dict(size=24, time_limit=0.4), quiet=True)
    write_agent_report(tmp_path / "agent.safetensors", tmp_path / "report.html", CARTPOLE, **options)
    page = open_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_selector(".stepper:not([hidden]) canvas[data-step]")
    headings = [each.inner_text() for each in page.locator("h1, h2").all()]
    assert headings == [CARTPOLE, "What the agent looks at", "Versions and machine"]
    assert page.locator("[data-point]").count() == 32
    assert page.get_by_text("agent.safetensors: one episode with a return of").is_visible()
    assert f"sb3-fpac{__version__}" in page.locator("dl").first.text_content()
