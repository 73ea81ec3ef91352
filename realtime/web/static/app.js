// The page: shows the state of the run, and connects buttons and keys.

import { Connection } from "./connection.js";
import { Finding } from "./finding.js";
import { Instrument } from "./instrument.js";
import { Marks } from "./marks.js";
import { Picture } from "./picture.js";
import { Playback } from "./playback.js";
import { Settings } from "./settings.js";

const $ = (id) => document.getElementById(id);
const STATES = { RUNNING: "live", STALLED: "no picture", OFFLINE: "disconnected" };
const LOST = {
  STALLED: "The source sends no picture",
  RECONNECTING: "The source is lost. Connecting again …",
};
const ERROR_MS = 3000; // shortest display time of an error
const READING_MS = 60; // per character of an error
const DARKER = 0.55; // share of the light that colours of regions keep on a light background
const lightTheme = matchMedia("(prefers-color-scheme: light)");
let colours = [];
let status = {}, offlineSince = 0, refusal = "", errorTimer;

history.replaceState(null, "", location.pathname); // hide the token; the cookie has it now
const connection = new Connection({
  picture: showPicture, connection: showConnection, about: showAbout, status: showStatus,
  settings: (values) => settings.show(values), error: (reason) => settings.refuse(reason),
  motion: (parts) => instrument.showMotion(parts), spectra: (spectra) => instrument.showSpectra(spectra), recordings: showRecordings,
});
const picture = new Picture(connection);
const playback = new Playback(connection);
const settings = new Settings(connection, picture, showError);
const instrument = new Instrument(connection, new Marks(picture), settings, showError);
const finding = new Finding(connection, instrument, picture, () => openPanel(true));
settings.onShow = (values, unit) => {
  instrument.showSettings(values, unit);
  playback.showSettings(values);
  $("find").hidden = values.finding === undefined; // no button for what the run does not do
};

// ---- messages of the server ------------------------------------------------------------------

function showPicture(blob) {
  picture.draw(blob);
  if (!offlineSince) $("cover").hidden = true;
}

function showConnection(open, reason = "") {
  offlineSince = open ? 0 : offlineSince || Date.now();
  refusal = reason;
  $("cover-text").textContent = "Waiting for the first picture …";
  $("cover").hidden = false;
  picture.restart();
  showOffline();
}

setInterval(() => { showOffline(); showVeil(); }, 500);

function showOffline() {
  if (!offlineSince) return;
  showState("OFFLINE");
  showFigures({});
  const lasting = Date.now() - offlineSince, text = refusal || "No connection to rtmag";
  const since = `since ${clock(offlineSince)} (${duration(lasting)})`;
  $("cover-text").textContent = lasting < 1000 ? "Connecting …" : `${text}. Trying again ${since} …`;
}

// Dim the picture and say since when there is no newer one.
function showVeil() {
  if (settings.values.paused) picture.restart();
  const lost = LOST[status.state];
  const since = lost ? Date.now() - 1000 * status.outage : picture.staleSince();
  const veiled = Boolean(since && picture.drawnAt && $("cover").hidden);
  $("veil").hidden = !veiled;
  $("frame").classList.toggle("veiled", veiled);
  const title = veiled ? lost ?? "No new picture from rtmag" : "";
  if ($("veil-title").textContent !== title) $("veil-title").textContent = title;
  $("veil-text").textContent = veiled ? `Last picture at ${clock(since)}, ${duration(Date.now() - since)} ago` : "";
}

const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });

function duration(milliseconds) {
  const seconds = Math.round(milliseconds / 1000), minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${seconds} s`;
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function showAbout(about) {
  settings.showPresets(about.presets);
  settings.showLayouts(about.layouts);
  colours = about.colours;
  showColours();
  $("source").textContent = $("source").title = about.source;
  document.title = `${about.source} · rtmag`;
  $("model").dataset.version = about.version;
}

// Colours of regions; on a light background they are darker.
function showColours() {
  const share = lightTheme.matches ? DARKER : 1;
  const shade = (hex) => `#${[1, 3, 5].map((at) => Math.round(parseInt(hex.slice(at, at + 2), 16) * share).toString(16).padStart(2, "0")).join("")}`;
  colours.forEach((hex, i) => {
    document.documentElement.style.setProperty(`--mark-${i}`, hex); // over the picture
    document.documentElement.style.setProperty(`--region-${i}`, shade(hex));
  });
  instrument.showColours(colours);
}

function showState(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text || STATES[name] || name.toLowerCase();
}

function showStatus(received) {
  status = received;
  const name = status.state;
  if (!offlineSince) {
    if (name === "CONNECTING") $("cover-text").textContent = status.message;
    showState(settings.values.paused && name === "RUNNING" ? "PAUSED" : name, status.message);
  }
  if (!offlineSince) showFigures(status);
  $("rec").hidden = !status.recording;
  const viewers = status.viewers > 1 ? ` · ${status.viewers} viewers` : "";
  $("model").textContent = `${status.model ?? ""}${viewers} · rtmag ${$("model").dataset.version ?? ""}`;
  showNotice(status.warning || status.notice, status.warning);
  if (status.size && String(status.size) !== String(picture.size)) {
    picture.size = status.size;
    picture.updateOverlay();
  }
  if (status.rate) settings.showFrameRate(status.rate);
  playback.showStatus(status);
  finding.showStatus(status);
  showVeil();
}

// Rate and delay are those of the last pictures, so they mean nothing while there are no new ones.
function showFigures({ fps, latency_ms: delay, dropped, outage }) {
  const running = outage == null;
  $("fps").textContent = fps && running ? fps.toFixed(fps < 10 ? 1 : 0) : "–";
  $("latency").textContent = delay != null && running ? `${delay.toFixed(0)} ms` : "–";
  $("dropped").textContent = dropped ?? "–";
}

function showRecordings(recordings) {
  $("recordings-part").hidden = !recordings.length;
  $("recordings").replaceChildren(...recordings.reverse().map(({ number, name, size }) => {
    const item = document.createElement("li"), link = document.createElement("a");
    Object.assign(link, { href: `recordings/${number}`, download: name, textContent: name, title: `Download ${name}` });
    item.append(link, size < 1e6 ? `${Math.ceil(size / 1e3)} kB` : `${(size / 1e6).toFixed(1)} MB`);
    return item;
  }));
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
  errorTimer = setTimeout(() => { errorTimer = null; showNotice(""); }, Math.max(ERROR_MS, READING_MS * text.length));
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

function openPanel(open) {
  $("instrument").hidden = !open;
  $("motion-toggle").setAttribute("aria-expanded", open);
  if (!open) instrument.clear();
  connection.subscribe("panel", open);
}

$("pause").addEventListener("click", () => connection.set({ paused: !settings.values.paused }));
$("record").addEventListener("click", () => connection.set({ recording: !settings.values.recording }));
$("snapshot").addEventListener("click", () => picture.save());
$("fullscreen").addEventListener("click", toggleFullscreen);
$("help").addEventListener("click", toggleShortcuts);
$("reset-region").addEventListener("click", () => connection.set({ region: null }));
$("motion-toggle").addEventListener("click", () => {
  openPanel($("instrument").hidden);
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
document.addEventListener("pointerup", ({ target }) => { if (!target.closest("input, select, dialog, canvas")) document.activeElement?.blur(); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=range]), select")) return;
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
window.addEventListener("resize", () => instrument.draw());
lightTheme.addEventListener("change", showColours);
document.addEventListener("visibilitychange", () => picture.restart());
