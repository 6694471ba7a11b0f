# SPDX-License-Identifier: ISC
"""The dashboard in a browser, against a running daemon and the demonstration
provider: what an operator must see at a glance is there, nothing complains, and
nothing is asked of anybody else. The pictures are kept in build/screenshots."""

import os
import smtplib
import time
import unittest

from browser import CHROMIUM, DRIVER, Browser
from harness import BUILD, Flyball, Provider, wait_until

WORLD = """
providers:
  gmail: {domains: [gmail.com], rate: 1/s, burst: 3, latency: 5ms}
  outlook: {domains: [outlook.com], rate: 4/s, burst: 4, latency: 5ms}
  yahoo: {domains: [yahoo.com], rate: 15/s, burst: 8, noise: {unknown_user: 20%}, latency: 5ms}
  plain: {domains: ["*"], greylist: {share: 50%, delay: 2s}, latency: 5ms}
listen:
  - {name: ip-a, listen: "127.0.0.1:0"}
"""

CONFIG = """
daemon:
  hostname: relay.demo.test
  workers: 2
  state_dir: "{dir}/state"
  admin_socket: {path: "{dir}/admin.sock"}
  event_log: "{dir}/events.jsonl"
  drain_timeout: 5s
  http: {listen: "127.0.0.1:{port2}"}
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
spool: {retry: {first: 20s, factor: 2, max: 60s}}
providers:
  gmail: {rate: 30/s, connections: 5}
  outlook: {rate: 20/s, connections: 5}
  yahoo: {rate: 20/s, connections: 5}
  other: {rate: 20/s, connections: 5}
plans:
  warm: {day: 2s, schedule: {from: 8, growth: 150%, to: 1k}, overflow: next_route}
routes:
  ip-a: {next_hop: "127.0.0.1:PEER", tls: none, connections: 20}
  ip-new: {next_hop: "127.0.0.1:PEER", tls: none, connections: 5, plan: warm}
streams:
  welcome: {match: {sender_domain: [new.test]}, routes: [ip-new, ip-a]}
  default: {routes: [ip-a]}
"""

DOMAINS = ("gmail.com", "outlook.com", "yahoo.com", "example.net", "gmx.de")
SHOTS = os.path.join(BUILD, "screenshots")


def send_for(port, seconds):
    end = time.monotonic() + seconds
    n = 0
    with smtplib.SMTP("127.0.0.1", port) as s:
        while time.monotonic() < end:
            for domain in DOMAINS:
                sender = "a@new.test" if n % 2 else "a@shop.test"
                s.sendmail(sender, [f"u{n}@{domain}"], "Subject: x\r\n\r\nhi\r\n")
                n += 1
            time.sleep(0.2)


@unittest.skipUnless(DRIVER and CHROMIUM, "there is no chromium with its chromedriver")
class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.provider = Provider(WORLD)
        cls.daemon = Flyball(CONFIG.replace("PEER", str(cls.provider.port)))
        cls.daemon.ctl("pause", "lane", "ip-a/gmx", "because", "the list is <b>stale</b>")
        send_for(cls.daemon.port, 14)
        cls.daemon.ctl("rate", "ip-a/yahoo", "5/s", "for", "2h")
        cls.browser = Browser()
        cls.origin = f"http://127.0.0.1:{cls.daemon.port2}/"

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.daemon.close()
        cls.provider.close()

    def show(self, width=1280, height=900, is_dark=False):
        self.browser.look(width, height, is_dark)
        self.browser.open(self.origin)
        wait_until(lambda: self.browser.run("return document.body.dataset.drawn") == "yes", 20, "the page")

    def text(self, selector):
        return self.browser.run("return document.querySelector(arguments[0]).innerText", selector)

    def test_held_lane_with_its_reason(self):
        self.show()
        held = wait_until(lambda: "ip-a/gmx" in self.text("#held") and self.text("#held"), what="the held lane")
        self.assertIn("a pause by the operator", held)
        self.assertIn("the list is <b>stale</b>", held)
        self.assertIn("ip-a/gmx", self.text("#alerts"))
        self.assertIn("ip-a/yahoo 5/s", self.text("#alerts"))
        self.assertEqual(self.browser.run("return document.querySelectorAll('#held b').length"), 0)

    def test_charts_are_drawn(self):
        self.show()
        drawn = self.browser.run("""
            return [...document.querySelectorAll("canvas")].map((c) => {
                const pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
                const colours = new Set();
                for (let i = 0; i < pixels.length; i += 4)
                    if (pixels[i + 3] > 200)
                        colours.add(pixels[i] >> 4 << 8 | pixels[i + 1] >> 4 << 4 | pixels[i + 2] >> 4);
                return [c.closest("section").querySelector("h2").id, colours.size, c.getAttribute("aria-label")];
            })""")
        sections = {section for section, _, _ in drawn}
        self.assertEqual(sections, {"h-rates", "h-plans", "h-queue"})
        for section, n_colours, label in drawn:
            self.assertGreater(n_colours, 3, (section, label))
            self.assertTrue(label)
        rates = [label for section, _, label in drawn if section == "h-rates"]
        self.assertTrue(any("ip-a/gmail" in label and " 0 delivered" not in label for label in rates), rates)
        plans = [label for section, _, label in drawn if section == "h-plans"]
        self.assertTrue(any("ip-new/" in label for label in plans), plans)

    def test_a_plan_shows_allowed_against_sent(self):
        """The bars of a day stand on each other; the line doesn't on them."""
        self.show()
        days = {d["day"]: d for d in self.daemon.ctl("plan", "ip-new/other:example.net")["history"]}
        shown = self.browser.run("""
            const c = Chart.getChart(document.querySelector('#plans [data-key="ip-new/other:example.net"] canvas'));
            return c.data.labels.map((label, i) => [label, c.data.datasets[0].data[i], c.scales.y.getValueForPixel(c.getDatasetMeta(3).data[i].y),
                c.scales.y.getValueForPixel(c.getDatasetMeta(0).data[i].y)])""")
        self.assertGreater(len(shown), 3)
        for label, allowed, top, line in shown[:4]:
            day = days[int(label.split()[1])]
            self.assertAlmostEqual(top, day["accepted"] + day["deferred"] + day["rejected"], delta=0.2)
            self.assertEqual(allowed, day["allowed"] or None)
            if allowed:
                self.assertAlmostEqual(line, allowed, delta=0.2)

    def test_tables_beside_the_charts(self):
        self.show()
        rows = self.browser.run("""
            return [...document.querySelectorAll("#rates article, #plans article")].map((a) => a.querySelectorAll("tbody th").length)""")
        self.assertGreater(len(rows), 3)
        self.assertTrue(all(n > 0 for n in rows), rows)
        lanes = {l["lane"] for l in self.daemon.ctl("lanes")}
        shown = self.browser.run("return [...document.querySelectorAll('#lanes-table tbody th')].map((e) => e.innerText)")
        self.assertEqual(set(shown), lanes)

    def test_raw_reply_by_pointer_and_by_keyboard(self):
        self.show()
        self.assertIn("421", self.text('#rates [data-key="ip-a/gmail"] .reply code'))
        replies = {l["lane"]: l["last_refusal"]["reply"] for l in self.daemon.ctl("lanes") if l["last_refusal"]}
        self.assertIn("4.7.28", replies["ip-a/gmail"])
        canvas = '#rates [data-key="ip-a/gmail"] canvas'
        self.browser.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", canvas)
        self.browser.run("document.querySelector(arguments[0]).focus()", canvas)
        self.browser.keys(canvas, "\ue010")  # End
        self.browser.keys(canvas, "\ue012")  # ArrowLeft: the refusal before
        tip = self.browser.run("const t = Chart.getChart(document.querySelector(arguments[0])).tooltip;"
                               "return [t.opacity, t.afterBody.join(' ')]", canvas)
        self.assertGreater(tip[0], 0)
        self.assertIn("421", tip[1])
        # The pointer, over the minute of the last refusal.
        at = self.browser.run("""
            const c = Chart.getChart(document.querySelector(arguments[0])), box = c.canvas.getBoundingClientRect();
            const i = c.data.marks.lastIndexOf(true), p = c.getDatasetMeta(0).data[i];
            return [box.left + p.x, box.top + p.y]""", canvas)
        self.browser.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1])
        wait_until(lambda: "421" in self.browser.run(
            "return Chart.getChart(document.querySelector(arguments[0])).tooltip.afterBody.join(' ')", canvas), what="the reply")

    def test_filter_and_choice(self):
        self.show()
        self.browser.keys("#filter", "yahoo")
        shown = self.browser.run("return [...document.querySelectorAll('#lanes-table tbody th')].map((e) => e.innerText)")
        self.assertTrue(shown and all("yahoo" in lane for lane in shown), shown)
        self.browser.run("const s = document.querySelector('#rates-pick'); s.value = 'ip-a/yahoo'; s.dispatchEvent(new Event('change'))")
        wait_until(lambda: self.browser.run("return [...document.querySelectorAll('#rates article')].map((a) => a.dataset.key)") == ["ip-a/yahoo"],
                   what="the chosen lane")

    def test_nothing_complains_and_nobody_else_is_asked(self):
        self.browser.console()
        self.browser.requests()
        self.show()
        time.sleep(6)  # it refreshes by itself
        self.assertEqual(self.browser.console(), [])
        asked = self.browser.requests()
        self.assertGreater(sum(url.endswith("/api/lanes") for url in asked), 1)
        self.assertEqual([url for url in asked if not url.startswith(self.origin)], [])

    def test_pages_that_would_frame_or_inject_are_refused(self):
        self.show()
        blocked = self.browser.run("""
            const s = document.createElement("script");
            s.textContent = "window.injected = 1";
            document.body.append(s);
            return window.injected === undefined""")
        self.assertTrue(blocked)
        self.browser.console()  # that was its complaint

    def test_fits_a_phone_and_both_schemes(self):
        for name, width, height, is_dark in (("desktop-light", 1280, 900, False), ("desktop-dark", 1280, 900, True),
                                             ("phone-light", 390, 844, False), ("phone-dark", 390, 844, True)):
            self.show(width, height, is_dark)
            wide = self.browser.run("return [document.documentElement.scrollWidth, innerWidth]")
            self.assertLessEqual(wide[0], wide[1], name)
            ground = self.browser.run("return getComputedStyle(document.body).backgroundColor")
            light = sum(int(n) for n in ground[4:-1].split(",")) > 384
            self.assertEqual((name, light), (name, not is_dark))
            self.browser.screenshot(os.path.join(SHOTS, f"dashboard-{name}.png"))

    def test_contrast(self):
        """WCAG 2.2: 4.5 for text (1.4.3), 3 for what isn't (1.4.11)."""
        def luminance(colour):
            parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            return sum(w * (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4) for w, p in zip((0.2126, 0.7152, 0.0722), parts))
        for is_dark in (False, True):
            self.show(is_dark=is_dark)
            names = ("ink", "faint", "good", "warn", "bad", "blue", "bar", "edge", "allowed")
            of = self.browser.run("""
                const style = getComputedStyle(document.documentElement);
                return Object.fromEntries(arguments[0].map((name) => [name, style.getPropertyValue("--" + name).trim()]))""",
                                  [*names, "card", "ground"])
            for name in names:
                for ground in ("card", "ground"):
                    dark, light = sorted((luminance(of[name]), luminance(of[ground])))
                    self.assertGreaterEqual((light + 0.05) / (dark + 0.05), 3 if name in ("bar", "edge", "allowed") else 4.5, (name, ground, is_dark))

    def test_says_when_the_daemon_is_gone(self):
        self.show()
        self.daemon.stop()
        try:
            wait_until(lambda: "doesn't answer" in self.text("#problem"), 15, "the complaint")
        finally:
            self.daemon.start()
        wait_until(lambda: self.browser.run("return document.querySelector('#problem').hidden"), 15, "its end")
        self.browser.console()


if __name__ == "__main__":
    unittest.main()
