// Charts of the measured motion: displacement over time, and its spectrum.

import { drag } from "./picture.js";

// A colour of style.css.
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
const LEFT = 48, BOTTOM = 20, TOP = 6, RIGHT = 6; // margins of a plot in CSS pixels
const SECONDS = 10; // length of the waveform, as the server sends it
const CLICK_FACTOR = 1.25; // a click at f sets the band from f / 1.25 to 1.25 f
const SMALLEST_DRAG = 1.08; // upper edge over lower edge; a shorter drag counts as a click
const SNAP = 0.03; // of the width; a click this close to the peak means the peak
const LABEL_GAP = 8; // CSS pixels between two labels
const SLOW_HZ = 4; // below it a frequency is shown per minute too
const SUMMARY_MS = 5000; // between two summaries for screen readers

export class Charts {
  // onBand: called with [lower, upper] edge in Hz when the user selects a band.
  constructor(onBand) {
    for (const id of ["waveform", "spectrum", "peak", "summary"]) this[id] = document.getElementById(id);
    this.usePeak = document.getElementById("use-peak");
    const around = (hz) => [hz / CLICK_FACTOR, hz * CLICK_FACTOR];
    this.usePeak.addEventListener("click", () => onBand(around(this.motion.peak[0])));
    this.unit = { factor: 1, name: "Hz" };
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.draw());
    this.spectrum.addEventListener("pointerdown", (event) => {
      if (!this.highestHz) return;
      const start = this.hz(event);
      const bandTo = (moved) => [start, this.hz(moved)].sort((a, b) => a - b);
      drag(this.spectrum, event, (moved) => {
        this.draft = bandTo(moved);
        this.draw();
      }, (released) => {
        this.draft = null;
        const [low, high] = bandTo(released), center = this.snapToPeak(start);
        onBand(high / low > SMALLEST_DRAG ? [low, high] : around(center));
      }, () => { this.draft = null; });
    });
  }

  show(motion) {
    this.motion = motion;
    this.highestHz = motion.step * motion.px.length;
    const { peak, step } = motion;
    this.peak.classList.toggle("clear", Boolean(peak));
    this.peak.textContent = peak ? `${this.rate(peak[0])} · ${peak[1].toFixed(3)} px` : step ? "no clear peak" : "measuring …";
    this.usePeak.disabled = !peak;
    this.summarize();
    this.draw();
  }

  // Forget the measured values, as the panel is closed.
  clear() {
    this.peak.textContent = "waveform and spectrum";
    this.peak.classList.remove("clear");
    this.summary.textContent = "";
  }

  // unit: {factor, name}, where factor is the value of 1 Hz.
  showSettings(settings, unit) {
    this.band = settings.mode === "temporal" ? [settings.fl, settings.fh] : null;
    this.unit = unit;
    this.draw();
  }

  // A frequency in words; slow ones and those in other units than Hz are also per minute.
  rate(hz) {
    const perMinute = hz < SLOW_HZ || this.unit.factor !== 1 ? ` · ${formatNumber(hz * 60)}/min` : "";
    return `${formatNumber(hz)} Hz${perMinute}`;
  }

  // Describe both charts to screen readers. The summary is read aloud whenever it changes, so it
  // changes seldom.
  summarize() {
    const { x, y, peak, step } = this.motion, reach = (path) => formatPixels(Math.max(0, ...path.map(Math.abs)));
    const found = peak ? `a peak of ${formatPixels(peak[1])} pixels at ${this.rate(peak[0])}` : step ? "no clear peak" : "not measured yet";
    this.waveform.ariaLabel = `Displacement in the last ${SECONDS} seconds: up to ${reach(x)} pixels to the right, ${reach(y)} pixels down`;
    this.spectrum.ariaLabel = `Spectrum from 0 to ${formatNumber(this.highestHz || 0)} Hz: ${found}`;
    if (!step || Date.now() - (this.summarizedAt ?? 0) < SUMMARY_MS) return;
    this.summarizedAt = Date.now();
    const summary = `Measured motion: ${found}.`;
    if (this.summary.textContent !== summary) this.summary.textContent = summary;
  }

  // Frequency at a pointer's position.
  hz(event) {
    const area = this.spectrum.getBoundingClientRect();
    const part = (event.clientX - area.left - LEFT) / (area.width - LEFT - RIGHT);
    return Math.max(Math.min(part, 0.98), 0.005) * this.highestHz;
  }

  snapToPeak(hz) {
    const peak = this.motion.peak?.[0];
    return peak && Math.abs(peak - hz) < SNAP * this.highestHz ? peak : hz;
  }

  draw() {
    if (!this.motion || !this.waveform.offsetParent) return;
    this.drawWaveform();
    if (this.highestHz) this.drawSpectrum();
  }

  drawWaveform() {
    const { t, x, y } = this.motion;
    const top = roundUp(Math.max(...x.map(Math.abs), ...y.map(Math.abs), 0.004));
    const plot = new Plot(this.waveform, [-SECONDS, 0], [-top, top]);
    plot.horizontalLines([-top, 0, top], formatPixels);
    const times = [-SECONDS, 0, -8, -6, -4, -2];
    plot.horizontalLabels(times, (v) => (v ? `${-v} s${v === -SECONDS ? " ago" : ""}` : "now"));
    plot.line(t, y, colour("accent-2"));
    plot.line(t, x, colour("accent"));
  }

  drawSpectrum() {
    const { px, peak, step } = this.motion, { factor, name } = this.unit;
    const top = roundUp(Math.max(...px.slice(2), 0.001));
    const plot = new Plot(this.spectrum, [0, this.highestHz], [0, top]);
    const band = this.draft ?? this.band;
    if (band) plot.shade(band, `${colour("accent")}24`);
    plot.horizontalLines([0, top / 2, top], formatPixels);
    const spacing = roundUp((this.highestHz * factor) / (plot.width / 50)) / factor;
    const marks = Array.from({ length: 50 }, (_, i) => i * spacing).filter((v) => v < 0.97 * this.highestHz);
    plot.horizontalLabels(marks, (v) => `${Math.round(v * factor * 100) / 100}${v ? "" : ` ${name}`}`);
    plot.line(px.map((_, i) => i * step), px, colour("accent"), true);
    if (peak) plot.mark(peak, this.rate(peak[0]));
  }
}

// One plot on a canvas; xRange and yRange are [low, high] in the units of the data.
class Plot {
  constructor(canvas, xRange, yRange) {
    const ratio = devicePixelRatio, { clientWidth: width, clientHeight: height } = canvas;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    this.context = canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, width, height);
    this.context.font = "11px system-ui, sans-serif";
    Object.assign(this, { canvas, xRange, yRange, width, height });
  }

  // Data to CSS pixels.
  x(value) { return LEFT + ((value - this.xRange[0]) / (this.xRange[1] - this.xRange[0])) * (this.width - LEFT - RIGHT); }
  y(value) { return this.height - BOTTOM - ((value - this.yRange[0]) / (this.yRange[1] - this.yRange[0])) * (this.height - BOTTOM - TOP); }

  horizontalLines(values, format) {
    const c = this.context;
    c.strokeStyle = colour("line"); c.fillStyle = colour("muted");
    c.textAlign = "right"; c.textBaseline = "middle"; c.lineWidth = 1;
    for (const value of values) {
      const y = Math.round(this.y(value)) + 0.5;
      c.beginPath(); c.moveTo(LEFT, y); c.lineTo(this.width - RIGHT, y); c.stroke();
      c.fillText(format(value), LEFT - 8, Math.min(y, this.height - BOTTOM));
    }
  }

  // Labels along the horizontal axis, the most important first: one that has no space is left out.
  // All of them stay inside of the plot.
  horizontalLabels(values, format) {
    const c = this.context, taken = [];
    c.textBaseline = "alphabetic"; c.textAlign = "left"; c.fillStyle = colour("muted");
    for (const value of values) {
      const text = format(value), { width } = c.measureText(text);
      const left = Math.max(LEFT, Math.min(this.x(value) - width / 2, this.width - RIGHT - width));
      if (taken.some(([begin, end]) => left < end + LABEL_GAP && left + width > begin - LABEL_GAP)) continue;
      taken.push([left, left + width]);
      c.fillText(text, left, this.height - 5);
    }
    this.canvas.dataset.labels = JSON.stringify(taken);
  }

  line(xs, ys, stroke, filled = false) {
    if (!xs.length) return;
    const c = this.context;
    c.save();
    c.beginPath(); c.rect(LEFT, 0, this.width - LEFT, this.height - BOTTOM + 1); c.clip();
    c.beginPath();
    xs.forEach((x, i) => c.lineTo(this.x(x), this.y(ys[i])));
    c.strokeStyle = stroke; c.lineWidth = 1.5; c.lineJoin = "round"; c.stroke();
    if (filled) {
      c.lineTo(this.x(xs.at(-1)), this.y(0)); c.lineTo(this.x(xs[0]), this.y(0));
      c.fillStyle = `${stroke}22`; c.fill();
    }
    c.restore();
  }

  shade([low, high], fill) {
    const [left, right] = [low, Math.min(high, this.xRange[1])].map((value) => this.x(value));
    this.context.fillStyle = fill;
    this.context.fillRect(left, TOP, right - left, this.height - BOTTOM - TOP);
  }

  mark([x, y], text) {
    const c = this.context, [left, top] = [this.x(x), Math.max(this.y(y), TOP + 4)];
    c.fillStyle = colour("highlight");
    c.beginPath(); c.arc(left, top, 4, 0, 7); c.fill();
    c.font = "600 12px system-ui, sans-serif"; c.textBaseline = "middle";
    const fitsRight = left + 10 + c.measureText(text).width < this.width - RIGHT;
    c.textAlign = fitsRight ? "left" : "right";
    const at = [left + (fitsRight ? 10 : -10), Math.min(Math.max(top, TOP + 8), this.height - BOTTOM - 10)];
    c.strokeStyle = colour("card"); c.lineWidth = 4; // keeps lines behind the text away from it
    c.strokeText(text, ...at);
    c.fillText(text, ...at);
  }
}

// About three digits.
export const formatNumber = (v) => (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));
export const formatShort = (v) => String(Number(v.toPrecision(3))); // without zeros at the end
const formatPixels = (v) => (v === 0 ? "0" : `${Number(v.toPrecision(2))}`);

// Round up to 1, 2 or 5 times a power of ten.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((m) => m * power >= value * 0.999);
}
