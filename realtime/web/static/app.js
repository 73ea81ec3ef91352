// The page: settings both ways, figures, keys. Settings are the server's: what it sends is shown.

import { Charts, read } from "./charts.js";
import { Link } from "./link.js";
import { Picture } from "./picture.js";

const $ = (id) => document.getElementById(id);
const STATES = { RUNNING: "live", STALLED: "no picture comes", RECONNECTING: "looking for the source", OFFLINE: "no connection" };
const LOWEST = 0.05; // Hz, the left end of the band's sliders
const HELD = 400; // ms after a touch in which a control does not follow the server
const touched = {};
let settings = {}, presets = {}, rate = 30, offline = 0, refused = "", notice;

history.replaceState(null, "", location.pathname); // the token is in a cookie by now
const link = new Link({ picture, link: linked, about, settings: settle, status, motion, error });
const view = new Picture(link);
const charts = new Charts((band) => { link.set({ band: fitted(band) }); });

// ---- what the server tells -----------------------------------------------------------------

function picture(blob) {
  view.draw(blob);
  if (!offline) $("veil").hidden = true;
}

function linked(open, why = "") {
  offline = open ? 0 : offline || Date.now();
  refused = why;
  $("why").textContent = open ? "Waiting for the first picture …" : "Connecting …";
  $("veil").hidden = false;
  if (!open) state("OFFLINE");
}

setInterval(() => {
  const seconds = Math.round((Date.now() - offline) / 1000);
  if (offline && seconds > 0) $("why").textContent = `${refused || "No connection to rtmag"}. Trying again … (${seconds} s)`;
}, 500);

function about({ source, version, presets: known }) {
  presets = known;
  $("preset").replaceChildren(...Object.entries(presets).map(([name, { why }]) => {
    const button = document.createElement("button");
    Object.assign(button, { value: name, textContent: name, title: why });
    return button;
  }));
  $("source").textContent = source;
  document.title = `${source} · rtmag`;
  $("model").dataset.version = version;
}

function state(name, words) {
  $("state").dataset.state = name;
  $("state").textContent = words || STATES[name] || name.toLowerCase();
}

function status(now) {
  const name = now.state;
  if (!offline) {
    if (name === "CONNECTING") $("why").textContent = now.words;
    state(settings.paused && name === "RUNNING" ? "PAUSED" : name, now.words);
  }
  $("fps").textContent = now.fps ? now.fps.toFixed(now.fps < 10 ? 1 : 0) : "–";
  $("latency").textContent = now.latency_ms == null ? "–" : `${now.latency_ms.toFixed(0)} ms`;
  $("dropped").textContent = now.dropped ?? "–";
  $("rec").hidden = !now.recording;
  const watching = now.viewers > 1 ? ` · ${now.viewers} watching` : "";
  $("model").textContent = `${now.model ?? ""}${watching} · rtmag ${$("model").dataset.version ?? ""}`;
  tell(now.warning || now.notice, now.warning);
  if (now.size && String(now.size) !== String(view.size)) { view.size = now.size; view.lay(); }
  if (now.rate && Math.abs(now.rate / rate - 1) > 0.05) { rate = now.rate; settle(settings); }
}

function tell(words, bad = false) {
  if (notice) return; // an error stays for its time
  $("notice").hidden = !words;
  $("notice").textContent = words ?? "";
  $("notice").classList.toggle("bad", Boolean(bad));
}

function error(words) {
  clearTimeout(notice);
  notice = null;
  tell(words, true);
  notice = setTimeout(() => { notice = null; tell(""); }, 3000);
}

function motion(data) {
  charts.show(data);
  const [hz, px] = data.peak ?? [];
  $("peak").classList.toggle("clear", Boolean(hz));
  $("peak").textContent = hz
    ? `${read(hz)} Hz · ${read(hz * 60)}/min · ${px.toFixed(3)} px`
    : data.step ? "no clear peak" : "listening …";
}

// ---- settings: shown, and sent ---------------------------------------------------------------

const highest = () => 0.47 * rate; // the server's word is half of a rate that trembles
const fitted = (band) => band.map((hz) => hz * Math.min(1, highest() / band[1]));
const toAlpha = (v) => 10 ** (v / 1000 * 3), fromAlpha = (alpha) => (1000 * Math.log10(Math.max(alpha, 1))) / 3;
const toHz = (v) => LOWEST * (highest() / LOWEST) ** (v / 1000);
const fromHz = (hz) => (1000 * Math.log(hz / LOWEST)) / Math.log(highest() / LOWEST);
const factor = () => parseInt($("unit").value, 10);

function put(id, value) {
  const element = $(id);
  if (document.activeElement === element && element.type === "number") return;
  if (Date.now() - (touched[id] ?? 0) > HELD) element.value = value;
}

function settle(now) {
  settings = now;
  if (now.alpha === undefined) return;
  put("alpha", Number(now.alpha.toPrecision(3)));
  put("alpha-slide", fromAlpha(now.alpha));
  fill();
  $("alpha-slide").setAttribute("aria-valuetext", `${Number(now.alpha.toPrecision(3))} times`);
  put("drift", now.drift ?? "");
  put("fl", Number((now.fl * factor()).toPrecision(3)));
  put("fh", Number((now.fh * factor()).toPrecision(3)));
  put("fl-slide", fromHz(now.fl));
  put("fh-slide", fromHz(now.fh));
  for (const edge of ["fl", "fh"]) {
    $(`${edge}-slide`).setAttribute("aria-valuetext", `${read(now[edge] * factor())} ${charts.unit.name}`);
  }
  span();
  press("mode", now.mode);
  press("layout", now.layout);
  press("motion_scale", String(now.motion_scale));
  press("preset", chosen(now));
  $("drift-part").hidden = now.mode !== "static";
  $("band-part").hidden = now.mode !== "temporal";
  $("scale-part").hidden = now.motion_scale === null;
  $("limit").textContent = `Below half the frame rate: ${read(rate / 2 * factor())} ${charts.unit.name}.`;
  $("pause").setAttribute("aria-pressed", now.paused);
  $("pause").querySelector("use").setAttribute("href", now.paused ? "#i-play" : "#i-pause");
  $("pause").querySelector("span").textContent = now.paused ? "Go on" : "Pause";
  $("record").setAttribute("aria-pressed", now.recording);
  $("record").querySelector("span").textContent = now.recording ? "Stop" : "Record";
  $("compare").setAttribute("aria-pressed", now.original);
  $("whole").hidden = !now.region;
  view.show({ ...now });
  charts.band(now);
}

function press(id, value) {
  for (const button of $(id).children) button.setAttribute("aria-pressed", button.value === value);
}

// What is looked for is a preset's while mode and band are; magnify it as you like.
function chosen({ mode, fl, fh, order }) {
  const close = (a, b) => Math.abs(a / b - 1) < 1e-3;
  return Object.keys(presets).find((name) => {
    const preset = presets[name];
    return preset.mode === mode && preset.order === order && close(preset.band[0], fl) && close(preset.band[1], fh);
  });
}

function fill() { $("alpha-slide").style.setProperty("--part", `${$("alpha-slide").value / 10}%`); }

function span() {
  const [low, high] = [$("fl-slide").value, $("fh-slide").value].map(Number);
  $("span").style.left = `${low / 10}%`;
  $("span").style.width = `${Math.max(high - low, 0) / 10}%`;
}

function on(id, type, act) {
  $(id).addEventListener(type, () => {
    touched[id] = Date.now();
    act($(id));
  });
}

on("alpha-slide", "input", (slide) => {
  const alpha = toAlpha(slide.value);
  $("alpha").value = Number(alpha.toPrecision(3));
  fill();
  link.set({ alpha });
});
on("alpha", "change", (input) => { if (input.value !== "" && input.validity.valid) link.set({ alpha: Number(input.value) }); });
on("drift", "change", (input) => { if (input.validity.valid) link.set({ drift: Number(input.value) || null }); });
for (const [id, other, sign] of [["fl-slide", "fh-slide", -1], ["fh-slide", "fl-slide", 1]]) {
  on(id, "input", (slide) => {
    // The edges keep a little apart, whichever is moved.
    if (sign * (slide.value - $(other).value) < 20) slide.value = Number($(other).value) + sign * 20;
    span();
    link.set({ band: [toHz($("fl-slide").value), toHz($("fh-slide").value)] });
  });
}
for (const id of ["fl", "fh"]) {
  on(id, "change", () => {
    const band = [Number($("fl").value) / factor(), Number($("fh").value) / factor()];
    if (band[0] > 0 && band[0] < band[1]) link.set({ band });
    else error("The lower edge must be above 0 and below the upper one.");
  });
}
$("preset").addEventListener("click", ({ target }) => {
  const unit = presets[target.value]?.unit;
  const option = [...$("unit").options].find(({ text }) => text.toLowerCase() === unit?.toLowerCase());
  if (option) show(option.value);
});
const show = (unit) => {
  $("unit").value = unit;
  charts.unit = { factor: factor(), name: $("unit").selectedOptions[0].textContent };
  settle(settings);
  charts.draw();
};
$("unit").addEventListener("change", () => show($("unit").value));
for (const id of ["preset", "mode", "layout", "motion_scale"]) {
  $(id).addEventListener("click", ({ target }) => {
    if (target.value) link.set({ [id]: id === "motion_scale" ? Number(target.value) : target.value });
  });
}
for (const input of document.querySelectorAll("input[type=number]")) {
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") input.blur(); });
}

// ---- what is pressed -------------------------------------------------------------------------

let holding = false; // asked of the hand, not of the server: its answer may still be on the way
const compare = (held) => {
  if (holding !== held) link.set({ original: held });
  holding = held;
};
const figures = () => { $("facts").hidden = !$("facts").hidden; };
const keys = () => ($("keys").open ? $("keys").close() : $("keys").showModal());
const full = () => (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen?.());

$("pause").addEventListener("click", () => link.set({ paused: !settings.paused }));
$("record").addEventListener("click", () => link.set({ recording: !settings.recording }));
$("snap").addEventListener("click", () => view.save());
$("full").addEventListener("click", full);
$("help").addEventListener("click", keys);
$("whole").addEventListener("click", () => link.set({ region: null }));
$("panel").addEventListener("click", () => {
  const open = $("charts").hidden;
  $("charts").hidden = !open;
  $("panel").setAttribute("aria-expanded", open);
  if (!open) $("peak").textContent = "waveform and spectrum";
  $("peak").classList.remove("clear");
  link.want("panel", open);
});
$("compare").addEventListener("pointerdown", (event) => {
  $("compare").setPointerCapture(event.pointerId);
  compare(true);
});
for (const type of ["pointerup", "pointercancel"]) $("compare").addEventListener(type, () => compare(false));
$("compare").addEventListener("contextmenu", (event) => event.preventDefault());
for (const type of ["keydown", "keyup"]) {
  $("compare").addEventListener(type, ({ key }) => { if (key === " " || key === "Enter") compare(type === "keydown"); });
}
$("compare").addEventListener("blur", () => compare(false));
// A button that was clicked must not take the next space for itself.
document.addEventListener("pointerup", ({ target }) => { if (!target.closest("input, select, dialog")) document.activeElement?.blur(); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input[type=number], select")) return;
  if (event.key === " " && event.target.matches("button")) return;
  if ($("keys").open && event.key !== "h") return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : "";
  const act = { c: () => compare(true), i: figures, h: keys, f: full }[key];
  if (act && !event.repeat) act();
  else if (key && " +=-_[]smr".includes(key)) {
    if (!event.repeat || "+=-_[]".includes(key)) link.press(key);
    event.preventDefault();
  }
});
document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "c") compare(false); });
window.addEventListener("blur", () => compare(false));
window.addEventListener("resize", () => charts.draw());
