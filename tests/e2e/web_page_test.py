#!/usr/bin/env python3
"""Drives the web page in headless Chromium: web_page_test.py MILLRACE [--screenshots FOLDER].
Exit status 77: no playwright package (pip install playwright) or no Chromium (apt-get install chromium)."""
import argparse
import json
import pathlib
import shutil
import sys
import urllib.error

import serving

try:
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    print("skipped: the playwright package is not installed")
    sys.exit(77)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    print("skipped: there is no Chromium")
    sys.exit(77)

# Set as an earlier conversation: what a model could write to hurt the page, and Markdown.
HOSTILE = ("<img src=x onerror=\"document.title='owned'\"> <script>document.title='owned'</script> [go](javascript:alert(1)) "
           "**bold** `a<b` [link](https://example.org/)\n\n- one\n  - two\n\n```html\n<b>x</b>\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |")


def idle(page):
    expect(page.locator("#send")).to_have_text("Send", timeout=60000)


def ask(page, text):
    page.fill("#prompt", text)
    page.keyboard.press("Enter")


def check_chat(page):
    ask(page, "What is the capital of France?")
    idle(page)
    answer = page.locator("article.assistant .text").last
    expect(answer).to_contain_text("Paris")
    expect(page.locator("article.assistant .note").last).to_contain_text("tokens")
    # Probabilities: on hover, and with the keyboard.
    answer.locator(".token").nth(2).hover()
    expect(page.locator("#tip .row.chosen")).to_have_count(1)
    assert page.locator("#tip .row").count() >= 5
    page.locator("article.assistant .body").last.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".token.current")).to_have_count(1)
    # Another try beside the first.
    page.get_by_role("button", name="Retry").click()
    idle(page)
    expect(page.locator(".versions")).to_contain_text("2/2")
    page.locator(".versions button").first.click()
    expect(page.locator(".versions")).to_contain_text("1/2")


def check_rate(page):
    """An answer in one piece has no rate; one that takes a while has."""
    def event(delta, **more):
        choices = [{"index": 0, "delta": delta, "finish_reason": None}] if delta is not None else []
        return "data: " + json.dumps({"object": "chat.completion.chunk", "choices": choices, **more}) + "\n\n"
    usage = event(None, usage={"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43}) + "data: [DONE]\n\n"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(
        content_type="text/event-stream", body=event({"role": "assistant", "content": ""}) + event({"content": "all at once"}) + usage))
    ask(page, "one piece")
    idle(page)
    page.unroute("**/v1/chat/completions")
    note = page.locator("article.assistant .note").last.inner_text()
    assert note.startswith("40 tokens · first after ") and "/s" not in note, note
    notes = page.evaluate("""() => [99, 100].map((ms) => noteOf({prompt_tokens: 3, completion_tokens: 41}, {start: 10, first: 30, last: 30 + ms}, "stop"))""")
    assert "/s" not in notes[0] and "41 tokens · 400/s · first after 20 ms" in notes[1], notes
    page.get_by_role("button", name="New chat").click()


def check_edit(page):
    page.locator("#prompt").focus()
    page.keyboard.press("ArrowUp")
    page.locator(".editor textarea").fill("Tell me a short story about a mill.")
    page.keyboard.press("Enter")
    idle(page)
    expect(page.locator("article.user")).to_have_count(1)
    expect(page.locator("article.user")).to_contain_text("mill")


def check_settings(page):
    sent = []
    page.on("request", lambda request: sent.append(json.loads(request.post_data)) if request.url.endswith("/completions") else None)
    page.fill("#system", "Answer in one word.")
    page.fill("#temperature", "0")
    page.fill("#max_tokens", "5")
    page.fill("#seed", "7")
    ask(page, "Hello")
    idle(page)
    body = sent[-1]
    assert body["messages"][0] == {"role": "system", "content": "Answer in one word."}, body
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0, 5, 7), body
    assert "top_p" not in body and body["top_logprobs"] == 5, body
    expect(page.locator("article.assistant .note").last).to_contain_text("5 tokens")
    page.get_by_role("button", name="Back to the model's defaults").click()
    assert page.input_value("#temperature") == ""


def check_stop(page, server):
    page.evaluate("settings.sampling = {max_tokens: 1900, temperature: 1}")
    page.route("**/v1/chat/completions", lambda route: route.continue_(
        post_data=json.dumps({**json.loads(route.request.post_data), "ignore_eos": True})))
    ask(page, "Tell me a very long story.")
    # Looks at each frame: the whole answer may take less than a second.
    page.evaluate("""() => new Promise(resolve => {
        const look = () => document.querySelectorAll("article.assistant .text.live .token").length > 5 ? resolve() : requestAnimationFrame(look);
        look();
    })""")
    page.keyboard.press("Escape")
    idle(page)
    expect(page.locator("article.assistant .note").last).to_contain_text("stopped")
    page.unroute("**/v1/chat/completions")
    for _ in range(100):
        if server.get("/load")["server_load"] == 0:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the server went on after Stop")


def check_panel(page, server):
    page.wait_for_timeout(700)
    load = server.get("/load")
    assert page.inner_text("#generated").replace(",", "") == str(load["generation_tokens"])
    assert "free" in page.get_attribute("#blocks", "aria-label")
    painted = page.evaluate("(() => { const c = $('blocks'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x > 0); })()")
    assert painted


def check_injection(page):
    page.evaluate("(text) => store('chat', [{role: 'user', text: '<b>hi</b>'}, {role: 'assistant', shown: 0, versions: "
                  "[{text, reasoning: '<i>r</i>', note: '', failure: '', entries: [], done: true}]}])", HOSTILE)
    page.reload()
    text = page.locator("article.assistant .text")
    expect(text).to_contain_text("<img src=x")
    expect(page.locator("article.user .body")).to_have_text("<b>hi</b>")
    assert page.locator("#log img, #log script, #log i, #log b, #log a[href^=javascript]").count() == 0
    assert (text.locator("strong").count(), text.locator("li li").count(), text.locator("td").count(), text.locator("pre").count()) == (1, 1, 2, 1)
    assert page.title() != "owned"
    blocked = page.evaluate("(() => { try { document.body.insertAdjacentHTML('beforeend', '<u></u>'); return false; } catch { return true; } })()")
    assert blocked, "the page may make HTML of strings"


def check_themes(page):
    seen = set()
    for _ in range(3):
        page.click("#theme")
        seen.add((page.inner_text("#theme"), page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert len({colour for _, colour in seen}) == 2 and len(seen) == 3, seen


def check_key(browser, binary):
    """A server that asks for keys: the page asks for one, and again when it is wrong."""
    with serving.serving(binary, "-t", "1", "--api-key", "secret") as server:
        page = browser.new_page()
        page.goto(server.url)
        for key in ("wrong", "secret"):
            expect(page.locator("#key-dialog")).to_be_visible()
            page.fill("#key", key)
            page.keyboard.press("Enter")
        expect(page.locator("#model")).to_have_text("Millrace Tiny")
        ask(page, "Hello")
        idle(page)
        expect(page.locator("article.assistant .note")).to_contain_text("tokens")
        expect(page.locator("#health")).to_have_text("running")
        page.close()


def screenshots(context, url, folder):
    for scheme in ("light", "dark"):
        page = context.browser.new_page(viewport={"width": 1360, "height": 820}, color_scheme=scheme)
        page.goto(url)
        for text in ("What is the capital of France?", "Tell me a short story about a mill."):
            ask(page, text)
            idle(page)
        page.check("#tint")
        page.wait_for_timeout(800)
        tokens = page.locator("article.assistant .text").last.locator(".token")
        tokens.nth(min(22, tokens.count() - 1)).hover()
        page.screenshot(path=str(folder / f"web_page_{scheme}.png"))
        page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("millrace")
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments = parser.parse_args()
    with serving.serving(arguments.millrace, "-t", "1") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1360, "height": 820})
        page = context.new_page()
        page.set_default_timeout(30000)
        problems, outside = [], []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith((server.url, "data:")) else outside.append(request.url))
        page.goto(server.url)
        for check in (check_chat, check_edit, check_rate, check_settings):
            check(page)
        check_stop(page, server)
        check_panel(page, server)
        assert not problems, problems
        check_injection(page)
        check_themes(page)
        assert not outside, outside
        if arguments.screenshots:
            screenshots(context, server.url, arguments.screenshots)
        check_key(browser, arguments.millrace)
        browser.close()
    with serving.serving(arguments.millrace, "-t", "1", "--no-ui") as server:
        try:
            server.get("/")
        except urllib.error.HTTPError as error:
            assert error.code == 404
        else:
            raise AssertionError("--no-ui serves the page")
    print("ok")


if __name__ == "__main__":
    main()
