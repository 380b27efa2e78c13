"""What a newcomer does with the demo, in a real browser: asks for a pull request, and finds it in Dagster's UI."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import pytest
import yaml
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

REQUEST = "@claude create PR"
# A loaded machine makes the world, and investigates, many times slower than an idle one.
WORLD_SECONDS, WORK_SECONDS, PAGE_SECONDS = 900, 900, 60

T = TypeVar("T")


@dataclass(frozen=True)
class Demo:
    """A demo that runs; ``repo`` is where fixes wait for a person's word, ``maintainer`` may say it."""

    process: subprocess.Popen[bytes]
    log: Path
    github: str
    dagster: str
    repo: str
    maintainer: str

    def until(self, seconds: float, what: str, found: Callable[[], T | None]) -> T:
        """Look again until something is there; the demo must live."""
        deadline = time.monotonic() + seconds
        while (there := found()) is None:
            told = self.log.read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, f"the demo ended:\n{told}"
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}:\n{told}"
            time.sleep(2)
        return there


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("Chromium and its driver are not installed (Debian: chromium, chromium-driver)")
    options = ChromeOptions()
    options.binary_location = str(programs[0])
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1400"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    chrome = Chrome(options=options, service=ChromeService(str(programs[1])))
    try:
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture
def demo(browser: Chrome, tmp_path: Path) -> Iterator[Demo]:
    home = tmp_path / "home"
    with _running(home, tmp_path / "demo.log") as (process, log):
        opened = Demo(process, log, "", "", "", "")
        opened.until(WORLD_SECONDS, "the demo to start", lambda: "Ctrl-C stops" in log.read_text() or None)
        port = json.loads((home / "demo.json").read_text())["port"]
        projects = yaml.safe_load((home / "hub.yaml").read_text())["projects"]
        (repo, *_) = [one["repo"] for one in projects if one["mode"] == "investigate"]
        users = json.loads((home / "sandbox" / "world.json").read_text())["users"]
        (login, *_) = [one["login"] for one in users if one["kind"] == "User" and one["permission"] == "write"]
        github, dagster = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
        yield Demo(process, log, github, dagster, repo.split("/", 1)[1], login)


@contextmanager
def _running(home: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "da_agent_hub.cli", "demo", "--home", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        # Ctrl-C is ignored by whatever a shell started in the background.
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.browser
@pytest.mark.timeout(2400)
def test_a_comment_in_the_browser_becomes_a_pull_request_with_its_materialization(browser: Chrome, demo: Demo) -> None:
    def text() -> str:
        return browser.find_element(By.TAG_NAME, "main").text

    def links(css: str) -> list[str]:
        return [str(one.get_attribute("href")) for one in browser.find_elements(By.CSS_SELECTOR, css)]

    def issue_with_a_fix() -> str | None:
        browser.get(f"{demo.github}/{demo.repo}/issues")
        for issue in links("a.title"):
            browser.get(issue)
            if "A fix was found and tried" in text():
                return issue
        return None

    browser.get(demo.github)
    browser.find_element(By.PARTIAL_LINK_TEXT, demo.repo.split("/")[1]).click()
    issue = demo.until(WORK_SECONDS, "an issue whose fix waits for a person", issue_with_a_fix)
    assert links(".event a[href*='/pull/']") == []

    browser.find_element(By.LINK_TEXT, demo.maintainer).click()
    browser.find_element(By.CSS_SELECTOR, "textarea[name=body]").send_keys(f"{REQUEST}, please.")
    browser.find_element(By.CSS_SELECTOR, "button[value=comment]").click()
    assert f"{REQUEST}, please." in text()

    def pull_request() -> str | None:
        browser.get(issue)
        return next(iter(links(".event a[href*='/pull/']")), None)

    pull = demo.until(WORK_SECONDS, "the pull request", pull_request)
    assert "eyes 1" in text()
    browser.find_element(By.CSS_SELECTOR, ".event a[href*='/pull/']").click()
    assert browser.current_url == pull
    number = issue.rsplit("/", 1)[1]
    assert f"Closes #{number}" in text()
    assert "Files changed" in text()
    assert "claude/issue-" in text()

    key = f"{demo.github.removeprefix('http://')}/{demo.repo}#{number}"
    wanted = [
        issue,
        pull,
        f"{demo.github}/deploy/",
        f"{demo.dagster}/assets/github_issues?",
        f"{demo.dagster}/assets/claude_investigations?",
    ]

    def linked(_: Chrome) -> bool:
        try:
            there = links("a")
        except StaleElementReferenceException:
            return False
        return all(any(link.startswith(one) for link in there) for one in wanted)

    def materialization() -> bool | None:
        browser.get(f"{demo.dagster}/assets/fix_pull_requests?view=partitions&partition={quote(key, safe='')}")
        try:
            return WebDriverWait(browser, PAGE_SECONDS).until(linked)
        except TimeoutException:
            return None

    demo.until(WORK_SECONDS, "its materialization with all its links", materialization)
    page = browser.find_element(By.TAG_NAME, "body").text
    assert "Latest materialization" in page
    assert "verified by running dbt on it" in page
