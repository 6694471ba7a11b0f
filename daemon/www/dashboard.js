/* SPDX-License-Identifier: ISC */
/*
 * The dashboard: asks the daemon's JSON every few seconds and draws it. What
 * others wrote (replies, names) only ever becomes text, never markup. Nothing
 * is asked of any other host, and nothing is changed.
 */
"use strict";
(function () {

const CHARTS_MAX = matchMedia("(max-width: 40rem)").matches ? 3 : 6;
const LANES_MAX = 200;
const EVERY_MS = 5000;
const $ = (id) => document.getElementById(id);
const charts = new Map(); /* by the element that holds it */
let lanes = [], plans = [];

/* ---- words ---- */

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const count = (n) => n === null || n === undefined ? "–" : n < 100000 ? whole.format(n) : short.format(n);

function perSecond(r) {
	if (r === null || r === undefined)
		return "no limit";
	if (r === 0 || r >= 1)
		return whole.format(Math.round(r * 10) / 10) + "/s";
	return r * 60 >= 1 ? whole.format(Math.round(r * 600) / 10) + "/min" : whole.format(Math.round(r * 36000) / 10) + "/h";
}

function span(ms) {
	const s = Math.round(ms / 1000);
	if (s < 1)
		return "under 1 s";
	if (s < 60)
		return s + " s";
	if (s < 3600)
		return Math.floor(s / 60) + " min" + (s < 600 && s % 60 ? " " + s % 60 + " s" : "");
	if (s < 86400)
		return Math.floor(s / 3600) + " h" + (s % 3600 >= 60 ? " " + Math.floor(s % 3600 / 60) + " min" : "");
	return Math.floor(s / 86400) + " d" + (s % 86400 >= 3600 ? " " + Math.floor(s % 86400 / 3600) + " h" : "");
}

const clock = (t) => new Date(t).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/* ---- elements ---- */

function element(tag, attributes, ...children) {
	const e = document.createElement(tag);
	for (const [key, value] of Object.entries(attributes || {}))
		if (value !== null && value !== undefined)
			e.setAttribute(key, value);
	e.append(...children.filter((c) => c !== null && c !== undefined));
	return e;
}

/* A lane's name may break behind its parts. */
function nameOf(name) {
	const e = element("span");
	for (const part of name.split(/(?<=[/:.])/))
		e.append(part, element("wbr"));
	return e;
}

/* Columns: {title, number, cell(row) -> text or element}; the first is the
 * row's heading. */
function fillTable(table, caption, columns, rows, none) {
	const head = element("tr", {}, ...columns.map((c) => element("th", { scope: "col", class: c.number ? "n" : null }, c.title)));
	const body = rows.map((row) => element("tr", {}, ...columns.map((c, i) => {
		const value = c.cell(row);
		return i === 0 ? element("th", { scope: "row" }, value)
			: element("td", { class: [c.number ? "n" : c.text ? "text" : "", value === "–" ? "empty" : ""].join(" ").trim() || null, "data-title": c.title }, value);
	})));
	if (!rows.length)
		body.push(element("tr", {}, element("td", { class: "none", colspan: columns.length }, none)));
	table.className = "rows";
	table.setAttribute("aria-label", caption);
	table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

function tableBeside(card, summary) {
	const table = element("table");
	const region = element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": summary }, table);
	card.append(element("details", {}, element("summary", {}, summary), region));
	return table;
}

/* ---- charts ---- */

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

function options(more) {
	const grid = { color: colour("line"), drawBorder: false };
	const ticks = { color: colour("faint"), font: { size: 11 } };
	return {
		animation: false,
		maintainAspectRatio: false,
		interaction: { mode: "index", intersect: false },
		plugins: {
			legend: { labels: { color: colour("faint"), boxWidth: 12, font: { size: 11 }, usePointStyle: true } },
			tooltip: { callbacks: {} },
		},
		scales: {
			x: { grid: { display: false }, ticks: { ...ticks, maxRotation: 0, autoSkipPadding: 14 } },
			y: { beginAtZero: true, grace: "8%", grid, ticks: { ...ticks, precision: 0, maxTicksLimit: 6, callback: (n) => short.format(n) } },
		},
		...more,
	};
}

/* A card with a heading, a chart and, below it, room for what is pointed at. */
function chartCard(parent, key, index) {
	let card = [...parent.children].find((c) => c.dataset.key === key);
	if (!card) {
		card = element("article", { class: "card", "data-key": key });
		const canvas = element("canvas", { role: "img", tabindex: "0" });
		card.title = "";
		card.append(element("header", {}, element("h3"), element("span", { class: "hint" })), element("div", { class: "plot" }, canvas));
		canvas.addEventListener("keydown", (event) => step(card, event));
	}
	if (parent.children[index] !== card)
		parent.insertBefore(card, parent.children[index] || null);
	return card;
}

/* Arrow keys point as a mouse does. */
function step(card, event) {
	const chart = charts.get(card);
	const move = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
	if (!chart || move === undefined)
		return;
	event.preventDefault();
	const n = chart.data.labels.length;
	const active = chart.getActiveElements();
	const from = active.length ? active[0].index : move > 0 ? -1 : n;
	let to = Math.max(0, Math.min(n - 1, from + move));
	/* Over minutes without anything, to the next refusal. */
	const marks = chart.data.marks;
	if (marks && Math.abs(move) === 1) {
		while (to >= 0 && to < n && !marks[to])
			to += move;
		if (to < 0 || to >= n) /* there is none that way */
			to = Math.max(0, Math.min(n - 1, from));
	}
	const elements = chart.data.datasets.map((_, i) => ({ datasetIndex: i, index: to })).filter((e) => chart.isDatasetVisible(e.datasetIndex));
	chart.setActiveElements(elements);
	chart.tooltip.setActiveElements(elements, { x: 0, y: 0 });
	chart.update();
	if (card.point)
		card.point(to);
}

function draw(card, type, data, more, label) {
	const canvas = card.querySelector("canvas");
	const old = charts.get(card);
	canvas.setAttribute("aria-label", label);
	if (old && old.themed === colour("ink")) {
		old.data.labels = data.labels;
		old.data.marks = data.marks;
		data.datasets.forEach((d, i) => Object.assign(old.data.datasets[i], d));
		old.options.plugins.tooltip = more.plugins.tooltip;
		old.update("none");
		return;
	}
	if (old)
		old.destroy();
	const chart = new Chart(canvas, { type, data, options: more });
	chart.themed = colour("ink");
	charts.set(card, chart);
}

function keepOnly(parent, keys) {
	for (const card of [...parent.children])
		if (!keys.includes(card.dataset.key)) {
			charts.get(card)?.destroy();
			charts.delete(card);
			card.remove();
		}
}

/* ---- asking ---- */

async function ask(path) {
	const response = await fetch(path, { cache: "no-store" });
	if (!response.ok)
		throw new Error(path + ": " + response.status);
	return response.json();
}

const pathOf = (name) => name.split("/").map(encodeURIComponent).join("/");

/* ---- now ---- */

/* Written only when it changes: it is read aloud each time. */
function showState(text, kind) {
	if ($("state").textContent !== text)
		$("state").textContent = text;
	$("state").className = "pill " + kind;
}

function showStatus(status) {
	const held = lanes.filter(isHeld);
	const refused = lanes.filter((l) => l.last_refusal && l.last_refusal.age_ms < 3600000);
	const rate = lanes.reduce((sum, l) => sum + (l.delivered_per_s || 0), 0);
	const tiles = [
		["Queued", count(status.totals.recipients), "recipients"],
		["In flight", count(status.totals.in_flight), "deliveries"],
		["Leaving", perSecond(rate), "in the last 10 s"],
		["Delivered", count(status.load.delivered), "since the start"],
		["Deferred", count(status.load.deferred), "since the start"],
		["Bounced", count(status.load.failed), "since the start"],
		["Lanes held", count(held.length), "of " + count(lanes.length)],
		["Lanes refused", count(refused.length), "within an hour"],
	];
	$("host").textContent = status.hostname;
	showState(status.unready || "accepting mail", status.unready ? "bad" : "good");
	$("when").textContent = "version " + status.version + ", up " + span(status.uptime_ms) + ", as of " + new Date(status.now).toLocaleTimeString([], { hourCycle: "h23" });
	document.title = (held.length ? "(" + held.length + " held) " : "") + "flyball " + status.hostname;
	$("tiles").replaceChildren(...tiles.map(([name, value, unit]) =>
		element("div", {}, element("dt", {}, name), element("dd", {}, value, element("small", {}, unit)))));
}

function showAlerts(status) {
	const until = (o) => o.remaining_ms === null ? "until taken back" : "for another " + span(o.remaining_ms);
	const items = status.alerts.map((a) => element("li", { class: "bad" }, a.text));
	for (const p of status.pauses)
		items.push(element("li", {}, "Paused: " + p.kind + " " + p.name + ", " + until(p) + (p.because ? ": " + p.because : "")));
	for (const o of status.overrides)
		items.push(element("li", {}, "Rate set by hand: " + o.lane + " " + o.rates.join(", ") + ", " + until(o)));
	$("alerts").replaceChildren(...items);
}

/* ---- lanes ---- */

const gates = {
	"rate": "the provider's rate",
	"connections": "connections of the lane",
	"route-connections": "connections of the route",
	"pause": "a pause by the operator",
	"next-hop": "the next hop",
	"retry": "its retry time",
	"adapted": "the speed that the provider bears",
	"suspended": "a suspension for its refusals",
	"plan": "the warmup plan's day",
	"sender-plan": "the sender domain's plan",
	"spike-guard": "the spike guard",
	"sender": "a paused sender domain",
	"list-health": "the list's health",
	"credit": "mail handed over whose end the log has not told",
	"lease": "a limit that is shared with other relays",
};

const gateText = (l) => gates[l.gate] || gates[l.gate.replace(/_/g, "-")] || l.gate;
/* What waits for its own retry holds nothing else back. */
const isHeld = (l) => l.state === "held" && l.gate !== "retry";
const waiting = (l) => l.queued_recipients + l.retrying;
const allowed = (l) => {
	const rates = [l.rate_per_s, l.adapt && l.adapt.rate_per_s].filter((r) => r !== null && r !== undefined);
	return rates.length ? Math.min(...rates) : null;
};

function refusal(l) {
	const r = l.last_refusal;
	if (!r)
		return element("span", { class: "faint" }, "none");
	return element("span", {}, element("span", { class: "faint" }, span(r.age_ms) + " ago, " + r.class + ": "), element("code", {}, r.reply));
}

const heldColumns = [
	{ title: "Lane", cell: (l) => nameOf(l.lane) },
	{ title: "Held by", cell: (l) => element("span", { class: l.gate === "pause" || l.gate === "suspended" ? "bad" : "warn" }, gateText(l)) },
	{ title: "Because", text: true, cell: (l) => l.because || "–" },
	{ title: "Since", number: true, cell: (l) => l.held_since ? clock(l.held_since) : "–" },
	{ title: "For another", number: true, cell: (l) => l.remaining_ms === null ? "until told" : span(l.remaining_ms) },
	{ title: "Waiting", number: true, cell: (l) => count(waiting(l)) },
	{ title: "Last refusal", text: true, cell: refusal },
];

const laneColumns = [
	{ title: "Lane", cell: (l) => nameOf(l.lane) },
	{ title: "State", cell: (l) => element("span", { class: isHeld(l) ? "warn" : l.state === "open" ? "good" : "faint" }, isHeld(l) ? "held by " + gateText(l) : l.state === "held" ? "waits for its retries" : l.state) },
	{ title: "Now", number: true, cell: (l) => perSecond(l.delivered_per_s) },
	{ title: "Allowed", number: true, cell: (l) => perSecond(allowed(l)) },
	{ title: "Ceiling", number: true, cell: (l) => perSecond(l.rate_per_s) },
	{ title: "Today", number: true, cell: (l) => count(l.day_sent) + (l.day_allowed === null || l.day_allowed === undefined ? "" : " of " + count(l.day_allowed)) },
	{ title: "Queued", number: true, cell: (l) => count(l.queued_recipients) },
	{ title: "Retrying", number: true, cell: (l) => count(l.retrying) },
	{ title: "Last refusal", text: true, cell: refusal },
];

function showLanes() {
	const words = $("filter").value.trim().toLowerCase();
	const fitting = lanes.filter((l) => l.lane.toLowerCase().includes(words) || l.state === words);
	const shown = fitting.slice(0, LANES_MAX);
	fillTable($("lanes-table"), "Lanes", laneColumns, shown, lanes.length ? "No lane has that in its name." : "There has been no mail yet.");
	$("lanes-note").textContent = fitting.length > shown.length ? "The first " + shown.length + " of " + whole.format(fitting.length) + ", by what waits."
		: whole.format(fitting.length) + (fitting.length === 1 ? " lane" : " lanes");
}

function showHeld() {
	const held = lanes.filter(isHeld).slice(0, LANES_MAX);
	fillTable($("held-table"), "Held lanes", heldColumns, held, "No lane is held.");
}

function showQueue() {
	const parent = $("queue");
	const rows = lanes.filter((l) => waiting(l) > 0).slice(0, 12);
	if (!rows.length) {
		keepOnly(parent, []);
		parent.replaceChildren(element("p", { class: "faint" }, "Nothing is queued."));
		return;
	}
	if (parent.firstChild && !parent.firstChild.dataset.key)
		parent.replaceChildren();
	const card = chartCard(parent, "queue", 0);
	card.querySelector("header").hidden = true;
	const plot = card.querySelector(".plot");
	plot.style.height = 4 + 1.9 * rows.length + "rem";
	const more = options({ indexAxis: "y" });
	more.scales = { x: { ...more.scales.y, stacked: true }, y: { ...more.scales.x, stacked: true, ticks: { ...more.scales.x.ticks, autoSkip: false } } };
	const data = {
		labels: rows.map((l) => l.lane.length > 28 ? l.lane.slice(0, 27) + "…" : l.lane),
		datasets: [
			{ label: "in line (recipients)", data: rows.map((l) => l.queued_recipients), backgroundColor: colour("bar"), maxBarThickness: 18 },
			{ label: "waiting for a retry (deliveries)", data: rows.map((l) => l.retrying), backgroundColor: colour("warn"), maxBarThickness: 18 },
		],
	};
	draw(card, "bar", data, more, "Queue: " + rows.map((l) => l.lane + " " + waiting(l)).join(", "));
}

/* ---- rates ---- */

/* Held and refused ones first, then what moves, then what waits. */
function interest(l) {
	return (l.last_refusal && l.last_refusal.age_ms < 3600000 ? 4e9 : 0) + (isHeld(l) && waiting(l) ? 2e9 : 0)
		+ Math.min(1e9, l.delivered_per_s * 1e6) + Math.min(1e6, waiting(l)) + (l.day_sent ? 1 : 0);
}

function pick(select, names, all) {
	const chosen = select.value;
	const options = ["", ...names];
	if ([...select.options].map((o) => o.value).join("\n") !== options.join("\n"))
		select.replaceChildren(...options.map((name) => element("option", { value: name }, name || all)));
	select.value = options.includes(chosen) ? chosen : "";
	return select.value;
}

/* Sixty minutes, also those in which nothing happened. */
function lastHour(history, now) {
	const end = Math.floor(new Date(now).getTime() / 60000);
	const points = new Map(history.points.map((p) => [Math.floor(new Date(p.at).getTime() / 60000), p]));
	const hour = [];
	for (let m = end - 59; m <= end; m++)
		hour.push(points.get(m) || { at: new Date(m * 60000).toISOString(), delivered: 0, deferred: 0, bounced: 0, refused: {}, rate_per_s: null, reply: null, isEmpty: true });
	/* What is allowed holds on through quiet minutes. */
	for (let i = 1; i < hour.length; i++)
		if (hour[i].isEmpty)
			hour[i].rate_per_s = hour[i - 1].rate_per_s;
	return hour;
}

const refusedOf = (p) => Object.values(p.refused).reduce((a, b) => a + b, 0);
const classesOf = (p) => Object.entries(p.refused).map(([name, n]) => n + " " + name).join(", ");

function showReply(card, p) {
	let out = card.querySelector(".reply");
	if (!out) {
		out = element("output", { class: "reply", "aria-live": "polite" });
		card.querySelector(".plot").after(out);
	}
	const text = p ? clock(p.at) + ", " + classesOf(p) + ":" : "No refusals in this hour.";
	if (out.dataset.text === text + (p && p.reply))
		return;
	out.dataset.text = text + (p && p.reply);
	out.replaceChildren(element("span", { class: p ? "warn" : "faint" }, text), p ? element("code", {}, p.reply || "") : "");
}

function wrap(text) {
	const lines = [];
	for (const line of text.split("\n"))
		for (let at = 0; at < line.length && lines.length < 8; at += 56)
			lines.push(line.slice(at, at + 56));
	return lines;
}

function showRate(card, l, hour) {
	const refusals = hour.filter((p) => refusedOf(p));
	const rates = hour.map((p) => p.rate_per_s === null ? null : p.rate_per_s * 60);
	const most = Math.max(10, ...hour.map((p) => p.delivered), ...hour.map(refusedOf));
	/* A limit that is far away would press everything else to the ground. */
	const near = rates.map((r) => r !== null && r <= most * 8 ? r : null);
	const data = {
		labels: hour.map((p) => clock(p.at)),
		marks: hour.map((p) => refusedOf(p) > 0),
		datasets: [
			{ type: "line", label: "refused", data: hour.map((p) => refusedOf(p) || null), showLine: false, pointStyle: "triangle", pointRadius: 6, pointHoverRadius: 8,
				backgroundColor: colour("bad"), borderColor: colour("bad") },
			{ type: "line", label: "allowed", data: near, stepped: true, pointRadius: 0, borderWidth: 1.5, borderDash: [5, 3],
				borderColor: colour("allowed"), backgroundColor: colour("allowed"), pointStyle: "line" },
			{ type: "bar", label: "delivered", data: hour.map((p) => p.delivered), backgroundColor: colour("bar"), barPercentage: 1, categoryPercentage: 0.85, pointStyle: "rect" },
		],
	};
	card.hour = hour;
	card.point = (i) => {
		card.pointed = card.hour[i].at;
		if (refusedOf(card.hour[i]))
			showReply(card, card.hour[i]);
	};
	const more = options({ onHover: (_, active) => active.length && card.point(active[0].index) });
	more.onClick = more.onHover;
	more.plugins.tooltip = {
		callbacks: {
			label: (item) => item.raw === null ? null : item.dataset.label + " " + whole.format(Math.round(item.raw * 10) / 10) + (item.dataset.label === "refused" ? " (" + classesOf(card.hour[item.dataIndex]) + ")" : ""),
			afterBody: (items) => wrap(card.hour[items[0].dataIndex].reply || ""),
		},
	};
	card.querySelector("h3").textContent = l.lane;
	card.querySelector(".hint").textContent = (isHeld(l) ? "held by " + gateText(l) + ", " : "") + "now " + perSecond(l.delivered_per_s) + ", allowed " + perSecond(allowed(l));
	const sum = (key) => hour.reduce((n, p) => n + p[key], 0);
	draw(card, "bar", data, more, l.lane + ", the last hour: " + sum("delivered") + " delivered, " + sum("deferred") + " deferred, " + sum("bounced") + " bounced");
	showReply(card, refusals.find((p) => p.at === card.pointed) || refusals[refusals.length - 1]);
	const table = card.querySelector("table") || tableBeside(card, "As a table");
	fillTable(table, l.lane + ", by the minute", [
		{ title: "Minute", cell: (p) => clock(p.at) },
		{ title: "Delivered", number: true, cell: (p) => count(p.delivered) },
		{ title: "Deferred", number: true, cell: (p) => count(p.deferred) },
		{ title: "Bounced", number: true, cell: (p) => count(p.bounced) },
		{ title: "Queued", number: true, cell: (p) => count(p.queued) },
		{ title: "Allowed", number: true, cell: (p) => perSecond(p.rate_per_s) },
		{ title: "Refused", cell: (p) => classesOf(p) || "–" },
		{ title: "Last refusal", text: true, cell: (p) => p.reply ? element("code", {}, p.reply) : "–" },
	], hour.filter((p) => !p.isEmpty).reverse(), "Nothing happened.");
}

async function showRates(now) {
	const order = [...lanes].sort((a, b) => interest(b) - interest(a));
	const chosen = pick($("rates-pick"), lanes.slice(0, 500).map((l) => l.lane).sort(), "the most telling ones");
	const shown = chosen ? order.filter((l) => l.lane === chosen) : order.filter((l) => interest(l) > 0).slice(0, CHARTS_MAX);
	const parent = $("rates");
	keepOnly(parent, shown.map((l) => l.lane));
	const histories = await Promise.all(shown.map((l) => ask("api/lanes/" + pathOf(l.lane) + "/history?since=1h").catch(() => null)));
	shown.forEach((l, i) => histories[i] && showRate(chartCard(parent, l.lane, i), l, lastHour(histories[i], now)));
	if (!shown.length)
		parent.replaceChildren(element("p", { class: "faint" }, "No mail has left within the hour."));
}

/* ---- plans ---- */

function showPlan(card, p) {
	const days = p.history.slice(-60);
	const today = days[days.length - 1];
	/* On a day without mail nobody asked what is allowed. */
	const curve = days.map((d) => d === today ? p.allowed : d.allowed || null);
	const bars = (label, key, name) => ({ type: "bar", label, data: days.map((d) => d[key]), backgroundColor: colour(name), stack: "sent", maxBarThickness: 22, pointStyle: "rect" });
	const data = {
		labels: days.map((d) => p.day > 0 ? "day " + d.day : d.date),
		datasets: [
			{ type: "line", label: "allowed", data: curve, stepped: "middle", spanGaps: true, pointRadius: days.length > 1 ? 0 : 4, borderWidth: 2, borderColor: colour("allowed"), backgroundColor: colour("allowed"), pointStyle: "line" },
			bars("accepted", "accepted", "bar"),
			bars("deferred", "deferred", "warn"),
			bars("rejected", "rejected", "bad"),
		],
	};
	const more = options({});
	more.scales.x.stacked = true; /* y: what has a stack, not the line */
	more.plugins.tooltip = { callbacks: { afterBody: (items) => days[items[0].dataIndex].date } };
	card.querySelector("h3").textContent = p.name;
	card.querySelector(".hint").textContent = (p.plan || "no plan") + ", " + p.state + (p.mode === "shadow" ? " (shadow)" : "") + (p.day > 0 ? ", day " + p.day + ", stage " + p.stage + " of " + p.stages : "")
		+ ": " + count(p.sent) + " of " + (p.allowed === null ? "any number" : count(p.allowed)) + " today";
	draw(card, "bar", data, more, p.name + ": " + p.why);
	let why = card.querySelector(".reply");
	if (!why) {
		why = element("p", { class: "reply" });
		card.querySelector(".plot").after(why);
	}
	why.textContent = p.why;
	const table = card.querySelector("table") || tableBeside(card, "As a table");
	const number = (title, key) => ({ title, number: true, cell: (d) => d[key] === null ? "no limit" : count(d[key]) });
	fillTable(table, p.name + ", by the day", [
		{ title: "Day", cell: (d) => String(d.day) },
		{ title: "Date", cell: (d) => d.date },
		number("Allowed", "allowed"), number("Attempted", "attempted"), number("Accepted", "accepted"), number("Deferred", "deferred"),
		number("Rejected", "rejected"), number("Bounced", "bounced"), number("Complained", "complained"), number("Overflowed", "overflowed"), number("Held", "held"),
	], [...days].reverse(), "No day has begun.");
}

async function showPlans() {
	const parent = $("plans");
	const chosen = pick($("plans-pick"), plans.slice(0, 500).map((p) => p.name), "those with most to do");
	const order = [...plans].sort((a, b) => b.waiting - a.waiting || b.sent - a.sent);
	const shown = chosen ? plans.filter((p) => p.name === chosen) : order.slice(0, CHARTS_MAX);
	$("plans-tools").hidden = !plans.length;
	keepOnly(parent, shown.map((p) => p.name));
	if (!shown.length) {
		parent.replaceChildren(element("p", { class: "faint" }, "No plan has begun; one begins with its lane's first mail."));
		return;
	}
	const whole = await Promise.all(shown.map((p) => ask("api/plans/" + pathOf(p.name)).catch(() => null)));
	shown.forEach((p, i) => whole[i] && showPlan(chartCard(parent, p.name, i), whole[i]));
}

/* ---- again and again ---- */

async function refresh() {
	const status = await ask("api/status");
	[lanes, plans] = await Promise.all([ask("api/lanes"), ask("api/plans")]);
	lanes.sort((a, b) => waiting(b) - waiting(a) || (a.lane < b.lane ? -1 : 1));
	showStatus(status);
	showAlerts(status);
	showHeld();
	showQueue();
	showLanes();
	await Promise.all([showRates(status.now), showPlans()]);
}

let timer = null, isBusy = false;

async function turn() {
	if (isBusy)
		return;
	isBusy = true;
	clearTimeout(timer);
	const began = Date.now();
	try {
		await refresh();
		$("problem").hidden = true;
		document.body.dataset.drawn = "yes";
	} catch (error) {
		$("problem").textContent = "The daemon doesn't answer (" + error.message + "). What is shown is of " + ($("when").textContent || "no time") + ".";
		$("problem").hidden = false;
		showState("no answer", "bad");
	}
	isBusy = false;
	/* With thousands of lanes it takes longer: then seldom. */
	timer = setTimeout(turn, document.hidden ? 60000 : Math.max(EVERY_MS, 10 * (Date.now() - began)));
}

$("filter").addEventListener("input", showLanes);
$("rates-pick").addEventListener("change", turn);
$("plans-pick").addEventListener("change", turn);
document.addEventListener("visibilitychange", () => document.hidden || turn());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", turn);
turn();
}());
