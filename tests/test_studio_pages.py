"""The studio in a real browser: what people do first, and what goes wrong around them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from browsing import Page, browser, violations
from PIL import Image
from serving import Running
from test_studio import made

PAGES = ("/", "/library", "/storyboard", "/desk", "/compare")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("pages"), seconds=0.3, upload=3_000_000)
    yield running
    assert running.stop() == 0, "".join(running.lines[-20:])


@pytest.fixture
def page(chromium: Any, server: Running) -> Iterator[Page]:
    """A tab that fails the test if its script breaks or anything is asked for elsewhere."""
    context = chromium.new_context(base_url=server.root, reduced_motion="reduce")
    opened, broken = context.new_page(), []
    context.set_default_timeout(60_000)  # machines may be slow
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.on("request", lambda asked: _local(asked.url) or broken.append(asked.url))
    yield opened
    context.close()
    assert broken == []


def _local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def drop(page: Page, name: str, raw: bytes, kind: str) -> None:
    """A file let go over the page."""
    script = """([name, bytes, type]) => {
        const moved = new DataTransfer();
        moved.items.add(new File([new Uint8Array(bytes)], name, { type }));
        for (const kind of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(
                new DragEvent(kind, { dataTransfer: moved, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(script, [name, list(raw), kind])


def photo() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (80, 40), "teal").save(file, "JPEG")
    return file.getvalue()


def test_from_words_to_a_video(page: Page) -> None:
    page.goto("/")
    page.fill("#words", "a red kite")
    page.keyboard.press("Control+Enter")
    tile = page.locator("wr-tile", has_text="a red kite")
    tile.wait_for()
    assert page.get_by_role("progressbar").count() == 0
    tile.get_by_role("link", name="a red kite").click()
    page.wait_for_url("**/video/video_*")
    page.get_by_role("heading", name="a red kite").wait_for()
    page.wait_for_function("() => document.querySelector('video').readyState >= 1")
    heart = page.get_by_role("button", name="Favourite", exact=True)
    page.keyboard.press("f")
    page.wait_for_function(
        "() => document.querySelector('.about [aria-pressed]').ariaPressed === 'true'"
    )
    assert heart.get_attribute("aria-pressed") == "true"
    assert violations(page) == []
    page.evaluate("() => document.querySelector('main').append(new Image())")
    assert any("image-alt" in one for one in violations(page))  # it would be found
    page.evaluate("() => document.querySelector('main > img').remove()")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.querySelector('video').paused")
    page.get_by_role("button", name="Use again").click()
    page.wait_for_url("**/")
    assert page.input_value("#words") == "a red kite"


def test_a_reload_loses_nothing(page: Page) -> None:
    page.goto("/")
    page.fill("#words", "[slow] a green kite")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Step ").wait_for()
    page.fill("#words", "half a sentence")
    page.reload()
    page.get_by_text("Step ").wait_for()
    assert page.input_value("#words") == "half a sentence"
    page.keyboard.press("Escape")  # cancels what runs
    page.get_by_role("progressbar").wait_for(state="detached")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(page: Page, server: Running, theme: str) -> None:
    video = made(server)
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    for path in (*PAGES, f"/video/{video['id']}"):
        page.goto(path)
        page.locator("h1").first.wait_for()
        page.wait_for_function("() => !document.querySelector('.bone')")
        assert violations(page) == [], path
    for tool in page.locator(".tool").all():
        tool.click()
        page.locator("wr-tool h3").wait_for()
        assert violations(page) == [], tool.inner_text()


@pytest.mark.slow
def test_the_box_with_all_that_it_has(page: Page) -> None:
    page.goto("/")
    page.fill("#words", "a red car")
    page.get_by_role("button", name="Add detail").click()
    page.wait_for_function("() => document.querySelector('#words').value.length > 20")
    page.get_by_role("button", name="Undo").click()
    assert page.input_value("#words") == "a red car"
    page.get_by_role("button", name="More").click()
    page.get_by_label("Style", exact=False).select_option("watercolour")
    page.get_by_text("Used as: “a red car, watercolour”").wait_for()
    page.get_by_role("spinbutton", name="Seed").fill("41")
    page.get_by_role("spinbutton", name="Seed").press("Tab")
    page.locator("label", has_text="Wide").click()
    assert violations(page) == []
    page.get_by_role("button", name="Make it").click()
    page.locator("wr-tile", has_text="a red car, watercolour").get_by_role("link").last.click()
    facts = page.locator(".facts").inner_text()
    assert "41" in facts and "160 × 96" in facts
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


@pytest.mark.slow
def test_refusals_are_kind_and_name_no_blame(page: Page) -> None:
    page.goto("/")
    page.fill("#words", "Mickey Mouse dances")
    page.keyboard.press("Control+Enter")
    told = page.get_by_role("alert")
    told.wait_for()
    assert (
        "Describe one of your own" in told.inner_text() and "sometimes wrong" in told.inner_text()
    )
    assert violations(page) == []
    assert page.input_value("#words") == "Mickey Mouse dances"
    page.fill("#words", "")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Say what should happen").wait_for()
    page.fill("#words", "[fail] a kite")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Change and try again").wait_for()
    page.reload()
    page.get_by_role("button", name="Put away").click()
    page.get_by_role("button", name="Put away").wait_for(state="detached")
    page.goto("/desk")
    page.locator("label", has_text="Refused prompts").click()
    page.get_by_role("button", name="Should have passed").first.click()
    page.get_by_text("Noted.").wait_for()


@pytest.mark.slow
def test_what_is_dropped(page: Page, server: Running, tmp_path: Path) -> None:
    page.goto("/library")
    drop(page, "beach.jpg", photo(), "image/jpeg")
    page.get_by_role("button", name="Take beach.jpg away").wait_for()
    assert violations(page) == []
    page.fill("#words", "the sea moves")
    page.get_by_role("button", name="Make it").click()
    page.locator("wr-tile", has_text="the sea moves").wait_for()
    drop(page, "broken.mp4", b"\0" * 4000, "video/mp4")
    page.get_by_text("broken.mp4 cannot be opened").wait_for()
    import torch

    from worldreel.generator import Generator
    from worldreel.request import Request

    torch.manual_seed(0)
    asked = Request(prompt="a ball on the beach", seed=77, seconds=0.5, steps=1, aspect="16:9")
    Generator.load().generate(asked).save(tmp_path / "own.mp4")
    drop(page, "own.mp4", (tmp_path / "own.mp4").read_bytes(), "video/mp4")
    page.get_by_text("are back in the box").wait_for()
    assert page.input_value("#words") == "a ball on the beach"
    page.get_by_role("button", name="More").click()
    assert page.get_by_role("spinbutton", name="Seed").input_value() == "77"
    page.get_by_role("button", name="Undo").click()
    assert page.input_value("#words") == "the sea moves"


@pytest.mark.slow
def test_two_tabs_tell_the_same(page: Page, server: Running) -> None:
    other = page.context.new_page()
    page.goto("/")
    other.goto("/library")
    page.bring_to_front()
    page.fill("#words", "[slow] a kite for two")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Step ").wait_for()
    other.bring_to_front()
    other.locator(".busy").click()
    other.get_by_text("[slow] a kite for two").wait_for()
    other.get_by_role("button", name="Cancel “[slow] a kite for two”").click()
    page.bring_to_front()
    page.get_by_role("progressbar").wait_for(state="detached")


@pytest.mark.slow
def test_tools_by_hand(page: Page, server: Running) -> None:
    video = made(server, "a kite to be changed")
    address = f"/video/{video['id']}"
    page.goto(address)
    for tool, task in (("Remix", "remixed"), ("Loop", "looped"), ("Re-cut", "made longer")):
        page.get_by_role("button", name=tool, exact=True).click()
        page.locator("wr-tool").get_by_role("button", name="Make it").click()
        page.locator(".family", has_text=task).wait_for()
    page.get_by_role("button", name="Region").click()
    page.locator("wr-tool").get_by_role("button", name="Make it").click()
    page.get_by_text("Paint over what should change first.").wait_for()
    canvas = page.locator("canvas.over")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    page.locator("wr-tool").get_by_role("button", name="Make it").click()
    page.locator(".family", has_text="partly repainted").wait_for()
    page.get_by_role("button", name="Report").click()
    page.get_by_label("It is not what I asked for").check()
    page.get_by_role("button", name="Report").last.click()
    page.get_by_text("Thank you.").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/library")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url(f"**{address}")
    page.get_by_role("heading", name="a kite to be changed").wait_for()


@pytest.mark.slow
def test_a_storyboard_on_a_phone(chromium: Any, server: Running) -> None:
    phone = {"width": 390, "height": 844}
    context = chromium.new_context(
        base_url=server.root, viewport=phone, has_touch=True, is_mobile=True
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto("/storyboard")
    page.get_by_role("button", name="Begin with an example").tap()
    page.get_by_label("What shot 3 shows").fill("@dog sleeps in the snow")
    page.get_by_label("Seconds of shot 3").fill("1.5")
    page.get_by_label("Seconds of shot 3").press("Tab")
    page.reload()
    assert page.get_by_label("What shot 3 shows").input_value() == "@dog sleeps in the snow"
    assert violations(page) == []
    page.get_by_role("button", name="Make 7.5 s").tap()
    page.get_by_text("Your storyboard is on its way.").wait_for()
    for path in (*PAGES,):
        page.goto(path)
        page.wait_for_function("() => !document.querySelector('.bone')")
        wide = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (path, wide)  # nothing hangs over the edge
    page.goto("/library")
    page.locator("wr-tile").first.wait_for()
    assert violations(page) == []
    context.close()
