// The page: connects the controls to the server's settings and shows its status.
// The server holds the settings; the controls show what it sends.

import { Charts, formatNumber } from "./charts.js";
import { Connection } from "./connection.js";
import { Picture } from "./picture.js";

const $ = (id) => document.getElementById(id);
const STATES = { RUNNING: "live", STALLED: "no picture", OFFLINE: "disconnected" };
const MODE_HINTS = {
  static: "All motion relative to the reference picture.",
  dynamic: "Motion from one frame to the next.",
  temporal: "Motion in a band of frequencies.",
};
const LOWEST_HZ = 0.05; // left end of the band's sliders
const HOLD_MS = 400; // after an edit, in which a control ignores the server's value
const ERROR_MS = 3000; // display time of an error
const lastEdit = {}; // time of the user's last edit of each control, by id
let settings = {}, presets = {}, frameRate = 30, offlineSince = 0, refusal = "", errorTimer;

history.replaceState(null, "", location.pathname); // hide the token; the cookie has it now
const connection = new Connection({
  picture: showPicture, connection: showConnection, about: showAbout, settings: showSettings,
  status: showStatus, motion: showMotion, error: showError,
});
const picture = new Picture(connection);
const charts = new Charts((band) => { connection.set({ band: limitBand(band) }); });

// ---- messages of the server ------------------------------------------------------------------

function showPicture(blob) {
  picture.draw(blob);
  if (!offlineSince) $("cover").hidden = true;
}

function showConnection(open, reason = "") {
  offlineSince = open ? 0 : offlineSince || Date.now();
  refusal = reason;
  $("cover-text").textContent = open ? "Waiting for the first picture …" : "Connecting …";
  $("cover").hidden = false;
  if (!open) showState("OFFLINE");
}

setInterval(() => {
  const seconds = Math.round((Date.now() - offlineSince) / 1000);
  if (offlineSince && seconds > 0) $("cover-text").textContent = `${refusal || "No connection to rtmag"}. Trying again … (${seconds} s)`;
}, 500);

function showAbout(about) {
  presets = about.presets;
  $("preset").replaceChildren(...Object.entries(presets).map(([name, { why }]) => {
    const button = document.createElement("button");
    Object.assign(button, { value: name, textContent: name, title: why });
    return button;
  }));
  $("source").textContent = about.source;
  document.title = `${about.source} · rtmag`;
  $("model").dataset.version = about.version;
}

function showState(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text || STATES[name] || name.toLowerCase();
}

function showStatus(status) {
  const name = status.state;
  if (!offlineSince) {
    if (name === "CONNECTING") $("cover-text").textContent = status.message;
    showState(settings.paused && name === "RUNNING" ? "PAUSED" : name, status.message);
  }
  $("fps").textContent = status.fps ? status.fps.toFixed(status.fps < 10 ? 1 : 0) : "–";
  $("latency").textContent = status.latency_ms == null ? "–" : `${status.latency_ms.toFixed(0)} ms`;
  $("dropped").textContent = status.dropped ?? "–";
  $("rec").hidden = !status.recording;
  const viewers = status.viewers > 1 ? ` · ${status.viewers} viewers` : "";
  $("model").textContent = `${status.model ?? ""}${viewers} · rtmag ${$("model").dataset.version ?? ""}`;
  showNotice(status.warning || status.notice, status.warning);
  if (status.size && String(status.size) !== String(picture.size)) {
    picture.size = status.size;
    picture.updateOverlay();
  }
  if (status.rate && Math.abs(status.rate / frameRate - 1) > 0.05) {
    frameRate = status.rate;
    showSettings(settings);
  }
}

function showNotice(text, isWarning = false) {
  if (errorTimer) return; // an error is on display
  $("notice").hidden = !text;
  $("notice").textContent = text ?? "";
  $("notice").classList.toggle("bad", Boolean(isWarning));
}

function showError(text) {
  clearTimeout(errorTimer);
  errorTimer = null;
  showNotice(text, true);
  errorTimer = setTimeout(() => { errorTimer = null; showNotice(""); }, ERROR_MS);
}

function showMotion(motion) {
  charts.show(motion);
  const [hz, px] = motion.peak ?? [];
  $("peak").classList.toggle("clear", Boolean(hz));
  $("peak").textContent = hz
    ? `${formatNumber(hz)} Hz · ${formatNumber(hz * 60)}/min · ${px.toFixed(3)} px`
    : motion.step ? "no clear peak" : "measuring …";
}

// ---- settings: show and send -----------------------------------------------------------------

// The server's limit is half of the frame rate, whose estimate varies a little.
const highestHz = () => 0.47 * frameRate;
const limitBand = (band) => band.map((hz) => hz * Math.min(1, highestHz() / band[1]));
const sliderToAlpha = (value) => 10 ** (value / 1000 * 3);
const alphaToSlider = (alpha) => (1000 * Math.log10(Math.max(alpha, 1))) / 3;
const sliderToHz = (value) => LOWEST_HZ * (highestHz() / LOWEST_HZ) ** (value / 1000);
const hzToSlider = (hz) => (1000 * Math.log(hz / LOWEST_HZ)) / Math.log(highestHz() / LOWEST_HZ);
const unitsPerHz = () => parseInt($("unit").value, 10);

// Show the server's value in a control, unless the user is editing it.
function setValue(id, value) {
  const element = $(id);
  if (document.activeElement === element && element.type === "number") return;
  if (Date.now() - (lastEdit[id] ?? 0) > HOLD_MS) element.value = value;
}

function showSettings(received) {
  settings = received;
  if (received.alpha === undefined) return;
  showAlpha();
  showBand();
  setValue("drift", received.drift ?? "");
  markPressed("mode", received.mode);
  markPressed("layout", received.layout);
  markPressed("motion_scale", String(received.motion_scale));
  markPressed("preset", matchingPreset(received));
  $("mode-hint").textContent = MODE_HINTS[received.mode];
  $("drift-part").hidden = received.mode !== "static";
  $("band-part").hidden = received.mode !== "temporal";
  $("scale-part").hidden = received.motion_scale === null;
  $("pause").setAttribute("aria-pressed", received.paused);
  $("pause").querySelector("use").setAttribute("href", received.paused ? "#i-play" : "#i-pause");
  $("pause").querySelector("span").textContent = received.paused ? "Resume" : "Pause";
  $("record").setAttribute("aria-pressed", received.recording);
  $("record").querySelector("span").textContent = received.recording ? "Stop" : "Record";
  $("compare").setAttribute("aria-pressed", received.original);
  $("reset-region").hidden = !received.region;
  picture.showSettings({ ...received });
  charts.showBand(received);
}

function showAlpha() {
  const rounded = Number(settings.alpha.toPrecision(3));
  setValue("alpha", rounded);
  setValue("alpha-slide", alphaToSlider(settings.alpha));
  fillAlphaSlider();
  $("alpha-slide").setAttribute("aria-valuetext", `${rounded} times`);
}

function showBand() {
  for (const edge of ["fl", "fh"]) {
    const value = settings[edge] * unitsPerHz();
    setValue(edge, Number(value.toPrecision(3)));
    setValue(`${edge}-slide`, hzToSlider(settings[edge]));
    $(`${edge}-slide`).setAttribute("aria-valuetext", `${formatNumber(value)} ${charts.unit.name}`);
  }
  fillBandSlider();
  $("band-limit").textContent = `Must be below half the frame rate: ${formatNumber(frameRate / 2 * unitsPerHz())} ${charts.unit.name}.`;
}

function markPressed(id, value) {
  for (const button of $(id).children) button.setAttribute("aria-pressed", button.value === value);
}

// The name of the preset with these mode and band; alpha may differ from the preset's.
function matchingPreset({ mode, fl, fh, order }) {
  const close = (a, b) => Math.abs(a / b - 1) < 1e-3;
  return Object.keys(presets).find((name) => {
    const preset = presets[name];
    return preset.mode === mode && preset.order === order && close(preset.band[0], fl) && close(preset.band[1], fh);
  });
}

function fillAlphaSlider() { $("alpha-slide").style.setProperty("--part", `${$("alpha-slide").value / 10}%`); }

function fillBandSlider() {
  const [low, high] = [$("fl-slide").value, $("fh-slide").value].map(Number);
  $("band-span").style.left = `${low / 10}%`;
  $("band-span").style.width = `${Math.max(high - low, 0) / 10}%`;
}

function onEdit(id, type, handle) {
  $(id).addEventListener(type, () => {
    lastEdit[id] = Date.now();
    handle($(id));
  });
}

onEdit("alpha-slide", "input", (slider) => {
  const alpha = sliderToAlpha(slider.value);
  $("alpha").value = Number(alpha.toPrecision(3));
  fillAlphaSlider();
  connection.set({ alpha });
});
onEdit("alpha", "change", (input) => { if (input.value !== "" && input.validity.valid) connection.set({ alpha: Number(input.value) }); });
onEdit("drift", "change", (input) => { if (input.validity.valid) connection.set({ drift: Number(input.value) || null }); });
for (const [id, other, sign] of [["fl-slide", "fh-slide", -1], ["fh-slide", "fl-slide", 1]]) {
  onEdit(id, "input", (slider) => {
    // Keep the two edges at least 20 steps apart.
    if (sign * (slider.value - $(other).value) < 20) slider.value = Number($(other).value) + sign * 20;
    fillBandSlider();
    connection.set({ band: [sliderToHz($("fl-slide").value), sliderToHz($("fh-slide").value)] });
  });
}
for (const id of ["fl", "fh"]) {
  onEdit(id, "change", () => {
    const band = [Number($("fl").value) / unitsPerHz(), Number($("fh").value) / unitsPerHz()];
    if (band[0] > 0 && band[0] < band[1]) connection.set({ band });
    else showError("The lower edge must be above 0 and below the upper edge.");
  });
}
$("preset").addEventListener("click", ({ target }) => {
  const unit = presets[target.value]?.unit;
  const option = [...$("unit").options].find(({ text }) => text.toLowerCase() === unit?.toLowerCase());
  if (option) setUnit(option.value);
});
const setUnit = (unit) => {
  $("unit").value = unit;
  charts.unit = { factor: unitsPerHz(), name: $("unit").selectedOptions[0].textContent };
  showSettings(settings);
  charts.draw();
};
$("unit").addEventListener("change", () => setUnit($("unit").value));
for (const id of ["preset", "mode", "layout", "motion_scale"]) {
  $(id).addEventListener("click", ({ target }) => {
    if (target.value) connection.set({ [id]: id === "motion_scale" ? Number(target.value) : target.value });
  });
}
for (const input of document.querySelectorAll("input[type=number]")) {
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") input.blur(); });
}

// ---- buttons and keys ------------------------------------------------------------------------

let comparing = false; // kept here, because the server's answer may arrive after the next event
const compare = (held) => {
  if (comparing !== held) connection.set({ original: held });
  comparing = held;
};
const toggleStatistics = () => { $("facts").hidden = !$("facts").hidden; };
const toggleShortcuts = () => ($("shortcuts").open ? $("shortcuts").close() : $("shortcuts").showModal());
const toggleFullscreen = () => (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen?.());

$("pause").addEventListener("click", () => connection.set({ paused: !settings.paused }));
$("record").addEventListener("click", () => connection.set({ recording: !settings.recording }));
$("snapshot").addEventListener("click", () => picture.save());
$("fullscreen").addEventListener("click", toggleFullscreen);
$("help").addEventListener("click", toggleShortcuts);
$("reset-region").addEventListener("click", () => connection.set({ region: null }));
$("motion-toggle").addEventListener("click", () => {
  const open = $("charts").hidden;
  $("charts").hidden = !open;
  $("motion-toggle").setAttribute("aria-expanded", open);
  if (!open) $("peak").textContent = "waveform and spectrum";
  $("peak").classList.remove("clear");
  connection.subscribe("panel", open);
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
// A clicked button must not keep the focus, or the space key would press it again.
document.addEventListener("pointerup", ({ target }) => { if (!target.closest("input, select, dialog")) document.activeElement?.blur(); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input[type=number], select")) return;
  if (event.key === " " && event.target.matches("button")) return;
  if ($("shortcuts").open && event.key !== "h") return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : "";
  const action = { c: () => compare(true), i: toggleStatistics, h: toggleShortcuts, f: toggleFullscreen }[key];
  if (action && !event.repeat) action();
  else if (key && " +=-_[]smr".includes(key)) {
    if (!event.repeat || "+=-_[]".includes(key)) connection.press(key);
    event.preventDefault();
  }
});
document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "c") compare(false); });
window.addEventListener("blur", () => compare(false));
window.addEventListener("resize", () => charts.draw());
