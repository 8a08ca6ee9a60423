"""What the README says of `python tasks.py ui`, in a real browser that can reach no other host."""

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import COMPONENTS, ROOT, Typed, clone, type_in
from mlflow.entities import Run, RunData, RunInfo
from omegaconf import OmegaConf
from selenium import webdriver
from selenium.common import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from servers import free_port
from small import wait_for

from _utils.pipeline.processes import is_alive

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="needs a browser: apt-get install chromium chromium-driver",
    ),
]


@pytest.fixture(scope="module")
def url(ran_once):
    """The address that `python tasks.py ui` prints, in the environment of the tests."""
    port = free_port()
    of_tests = f"tasks.set_up, tasks.BIN = print, pathlib.Path('{Path(sys.executable).parent}')"
    command = f"python -c \"import pathlib, tasks; {of_tests}; tasks.main('ui')\""
    served = Typed(ran_once, command, MLFLOW_PORT=str(port))
    served.until("(Ctrl-C ends it)")
    at_work = served.at_work("")
    yield re.search(r"MLflow's page: (\S+)", served.text)[1]
    served.signal(signal.SIGINT, "all")
    served.end()
    wait_for(lambda: not any(map(is_alive, at_work)), patience=30)


class Browser:
    """A headless Chromium; whatever it does waits until the page is ready for it."""

    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        options.add_argument("--headless=new")
        options.add_argument("--window-size=1600,1200")
        options.add_argument("--disable-dev-shm-usage")  # which is small in a container
        options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        # It leaves files behind; a socket needs a short path
        self.folder = tempfile.TemporaryDirectory(prefix="browser-", dir="/tmp")
        places = dict.fromkeys(["HOME", "TMPDIR"], self.folder.name)
        service = webdriver.ChromeService(DRIVER, env={**os.environ, **places})
        self.driver = webdriver.Chrome(options, service)

    def until(self, holds: Callable, told: str):
        """Wait for a condition; an element may not be there yet, be covered, or be gone again."""
        wait = WebDriverWait(self.driver, 60, 0.1, ignored_exceptions=[WebDriverException])
        return wait.until(lambda _: holds(), told)

    def find(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        return [element.text for element in self.find(css)]

    def click(self, xpath: str) -> None:
        self.until(lambda: self.driver.find_element(By.XPATH, xpath).click() is None, xpath)

    def choose(self, artifact: str) -> None:
        """Click on a file or folder of a run, and wait until a file is shown."""
        self.click(f"//*[@data-testid='artifact-tree-node'][@aria-label='{artifact}']")
        if "." in artifact:
            self.until(lambda: self.find(f"[title$='{artifact}']"), artifact)

    def shown(self, css: str) -> int:
        """Wait until images are there, and shown; returns how many."""

        def widths():
            found = [image.get_property("naturalWidth") for image in self.find(css)]
            return found if all(found) else None

        return len(self.until(widths, css))

    def frame(self, name: str) -> str:
        """Go into the frame that is on the page, once it is loaded; returns its text."""

        def text():
            self.driver.switch_to.default_content()
            self.driver.switch_to.frame(self.driver.find_element(By.TAG_NAME, "iframe"))
            loaded = self.driver.execute_script("return document.readyState") == "complete"
            return loaded and self.texts("body")[0]

        return self.until(text, name)

    def stop(self) -> None:
        first = psutil.Process(self.driver.service.process.pid)
        at_work = [first, *first.children(recursive=True)]
        self.driver.quit()
        wait_for(lambda: not any(map(is_alive, at_work)), patience=30)
        self.folder.cleanup()


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.stop()


@pytest.fixture(scope="module")
def runs(browser, url):
    """The README's way in; the links of the runs that it leads to, by their names."""
    browser.driver.get(url)
    browser.click("//*[@role='row'][.//a[contains(@href, '/runs/')]]//button")

    def links():
        found = browser.find("[role=row] a[href*='/runs/']")
        by_name = {link.text: link.get_attribute("href") for link in found}
        return by_name if len(by_name) > len(COMPONENTS) else None

    return browser.until(links, "the runs")


@pytest.fixture
def artifacts(browser, runs):
    """A function that opens the tab *Artifacts* of a run."""

    def go_to(run):
        browser.driver.get(runs[run])
        browser.until(lambda: browser.texts("[data-testid=runs-header]") == [run], run)
        browser.click("//*[@role='tab'][.='Artifacts']")

    return go_to


@pytest.fixture
def page(browser, artifacts):
    """A function that opens a page of a run; returns its text, and how many images it shows."""

    def go_to(run, file):
        artifacts(run)
        browser.choose(file)
        return browser.frame(file), browser.shown("img")

    yield go_to
    browser.driver.switch_to.default_content()


def test_the_plus_sign_shows_the_components_below_the_pipeline(runs):
    assert {*runs} == {"pipeline: all steps", *COMPONENTS}


def test_the_page_of_eda_opens(page):
    text, images = page("eda", "eda.html")
    assert text.startswith("A first look at the raw data")
    assert "1129 rows, 28 columns" in text
    assert text.count("input_artifact = ") == 1  # what was used, without the default
    assert images == 9


def test_the_figures_of_eda_are_shown(browser, artifacts):
    artifacts("eda")
    browser.choose("figures")
    names = "[data-testid=artifact-tree-node][aria-label$='.png']"
    browser.until(lambda: all(browser.texts(names) or [""]), names)  # it is opened slowly
    figures = browser.texts(names)
    assert len(figures) == 9 and "01_how_is_the_target_distributed.png" in figures
    for figure in figures:
        browser.choose(figure)
        assert browser.shown(f"img[alt='figures/{figure}']") == 1


def test_the_report_of_monitoring_opens(page):
    text, images = page("monitoring", "report.html")
    assert "ALARM: MAE" in text
    assert "Performance" in text
    assert images > 0


PAGES = ["overview.html", "report.html", "evaluation.html"]


def page_of_a_sweep() -> str:
    """The page of a sweep of many parameters, without the time that one takes."""
    page, ranking = map(pytest.importorskip, ["_utils.sweeps.page", "_utils.sweeps.ranking"])
    rows = [
        {f"a.long.key.of_{letter}": f"{place * number}" for number, letter in enumerate("abcdef")}
        | {"step.metric": place / 7, "status": "FINISHED", "run": f"{place:032}"}
        for place in range(9)
    ]
    info = RunInfo("a", "1", "me", "FINISHED", 0, 1, "active", "uri")
    objective = OmegaConf.create({"metric": "step.metric", "direction": "minimize"})
    jobs, table = [Run(info, RunData([], [], []))], ranking.ranked(rows, "step.metric", "minimize")
    return page.as_page(table, jobs, objective, {}, f"python main.py {'a.long.key=1 ' * 9}")


def test_the_model_registry_has_the_champion(browser, url):
    browser.driver.get(url)  # a run's own page may have the menu of MLflow's part for GenAI
    browser.click("//a[.='Model registry']")
    row = "[role=row]:has(a[href$='/models/fuel_economy'])"
    (text,) = browser.until(lambda: browser.texts(row), row)
    assert "Version 1" in text and "@ champion" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", [*PAGES, "eda.html", "sweep.html"])
def test_a_page_fits_and_asks_nobody(browser, ran_once, tmp_path, name, width, scheme):
    if name != "sweep.html":
        (path,) = (ran_once / "mlruns").rglob(name)
    else:
        path = tmp_path / name
        path.write_text(page_of_a_sweep(), encoding="utf-8")
    tell = browser.driver.execute_cdp_cmd
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    tell("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    tell("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.driver.get_log("browser")  # of the pages before
    browser.driver.get(path.as_uri())
    ask = browser.driver.execute_script
    assert ask("return document.documentElement.scrollWidth") <= width
    loaded = ask("return performance.getEntriesByType('resource').map(each => each.name)")
    assert [url for url in loaded if not url.startswith("data:")] == []
    ground = ask("return getComputedStyle(document.body).backgroundColor")
    dark = "rgb(25, 25, 25)" if name == "eda.html" else "rgb(20, 23, 26)"
    assert ground == {"light": "rgb(255, 255, 255)", "dark": dark}[scheme]
    assert browser.driver.get_log("browser") == []
    tell("Emulation.clearDeviceMetricsOverride", {})


def test_one_command_makes_all_pictures_again(tmp_path):
    """Those of README.md and MLpipeline.md, from a run of its own, as a maintainer types it."""
    folder = clone(tmp_path / "project")
    images = folder / "resources/images"
    documents = "".join((ROOT / name).read_text() for name in ("README.md", "MLpipeline.md"))
    names = {*re.findall(r"\(resources/images/(.*?)\)", documents)}
    for name in names:
        (images / name).unlink()
    ran = type_in(folder, "python resources/images/draw.py")
    assert ran.returncode == 0, ran.stdout
    assert {path.name for path in images.iterdir()} == names | {"draw.py", "diagrams.html"}
    overview = (images / "overview.png").read_bytes()
    assert int.from_bytes(overview[16:20]) == 1400  # its width
    assert len(overview) < 300_000
    assert "monitoring" in (images / "terminal.svg").read_text(encoding="utf-8")
