// Waveform and spectrum, drawn on canvases.

import { drag } from "./picture.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
const LEFT = 48, BOTTOM = 20, TOP = 6, RIGHT = 6;
const SECONDS = 10;
const WIDTH = 1.25; // a click sets a band this much below and above

export class Charts {
  constructor(chosen) {
    this.wave = document.getElementById("wave");
    this.spectrum = document.getElementById("spectrum");
    this.unit = { factor: 1, name: "Hz" };
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.draw());
    this.spectrum.addEventListener("pointerdown", (event) => {
      if (!this.highest) return;
      const from = this.hz(event);
      drag(this.spectrum, event, (moved) => {
        this.draft = [from, this.hz(moved)].sort((a, b) => a - b);
        this.draw();
      }, (up) => {
        const [low, high] = [from, this.hz(up)].sort((a, b) => a - b);
        this.draft = null;
        const near = this.near(from);
        chosen(high / low > 1.08 ? [low, high] : [near / WIDTH, near * WIDTH]);
      }, () => { this.draft = null; });
    });
  }

  show(motion) {
    this.motion = motion;
    this.highest = motion.step * motion.px.length;
    this.draw();
  }

  band(settings) {
    this.set = settings.mode === "temporal" ? [settings.fl, settings.fh] : null;
    this.draw();
  }

  hz(event) {
    const area = this.spectrum.getBoundingClientRect();
    const part = (event.clientX - area.left - LEFT) / (area.width - LEFT - RIGHT);
    return Math.max(Math.min(part, 0.98), 0.005) * this.highest;
  }

  // A click means the peak, when it is close to one.
  near(hz) {
    const peak = this.motion.peak?.[0];
    return peak && Math.abs(peak - hz) < 0.03 * this.highest ? peak : hz;
  }

  draw() {
    if (!this.motion || !this.wave.offsetParent) return;
    const { t, x, y, px, peak } = this.motion;
    const reach = nice(Math.max(...x.map(Math.abs), ...y.map(Math.abs), 0.004));
    const wave = new Plot(this.wave, [-SECONDS, 0], [-reach, reach]);
    wave.rows([-reach, 0, reach], pixels);
    wave.columns(wave.w > 380 ? [-10, -8, -6, -4, -2, 0] : [-10, -5, 0], (v) => (v ? `${-v} s ago` : "now"));
    wave.line(t, y, colour("other"));
    wave.line(t, x, colour("accent"));
    if (!this.highest) return;
    const top = nice(Math.max(...px.slice(2), 0.001));
    const plot = new Plot(this.spectrum, [0, this.highest], [0, top]);
    const shaded = this.draft ?? this.set;
    if (shaded) plot.shade(shaded, `${colour("accent")}24`);
    plot.rows([0, top / 2, top], pixels);
    const { factor, name } = this.unit, step = nice((this.highest * factor) / (plot.w > 380 ? 7 : 4));
    const marks = Array.from({ length: 9 }, (_, i) => (i * step) / factor).filter((v) => v < 0.97 * this.highest);
    plot.columns(marks, (v) => `${Math.round(v * factor * 100) / 100}${v ? "" : ` ${name}`}`);
    plot.line(px.map((_, i) => i * this.motion.step), px, colour("accent"), true);
    if (peak) plot.mark(peak, `${read(peak[0] * factor)} ${name}`);
  }
}

class Plot {
  constructor(canvas, across, up) {
    const ratio = devicePixelRatio, { clientWidth: w, clientHeight: h } = canvas;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      [canvas.width, canvas.height] = [Math.round(w * ratio), Math.round(h * ratio)];
    }
    this.c = canvas.getContext("2d");
    this.c.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.c.clearRect(0, 0, w, h);
    this.c.font = "11px system-ui, sans-serif";
    Object.assign(this, { across, up, w, h });
  }
  x(v) { return LEFT + ((v - this.across[0]) / (this.across[1] - this.across[0])) * (this.w - LEFT - RIGHT); }
  y(v) { return this.h - BOTTOM - ((v - this.up[0]) / (this.up[1] - this.up[0])) * (this.h - BOTTOM - TOP); }
  rows(values, words) {
    this.c.strokeStyle = colour("line"); this.c.fillStyle = colour("soft");
    this.c.textAlign = "right"; this.c.textBaseline = "middle"; this.c.lineWidth = 1;
    for (const v of values) {
      const y = Math.round(this.y(v)) + 0.5;
      this.c.beginPath(); this.c.moveTo(LEFT, y); this.c.lineTo(this.w - RIGHT, y); this.c.stroke();
      this.c.fillText(words(v), LEFT - 8, Math.min(y, this.h - BOTTOM));
    }
  }
  columns(values, words) {
    this.c.textBaseline = "alphabetic"; this.c.fillStyle = colour("soft");
    values.forEach((v, i) => {
      this.c.textAlign = i === values.length - 1 && v === this.across[1] ? "right" : v === this.across[0] ? "left" : "center";
      this.c.fillText(words(v), this.x(v), this.h - 5);
    });
  }
  line(xs, ys, ink, filled = false) {
    if (!xs.length) return;
    this.c.save();
    this.c.beginPath(); this.c.rect(LEFT, 0, this.w - LEFT, this.h - BOTTOM + 1); this.c.clip();
    this.c.beginPath();
    xs.forEach((x, i) => this.c.lineTo(this.x(x), this.y(ys[i])));
    this.c.strokeStyle = ink; this.c.lineWidth = 1.5; this.c.lineJoin = "round"; this.c.stroke();
    if (filled) {
      this.c.lineTo(this.x(xs.at(-1)), this.y(0)); this.c.lineTo(this.x(xs[0]), this.y(0));
      this.c.fillStyle = `${ink}22`; this.c.fill();
    }
    this.c.restore();
  }
  shade([low, high], ink) {
    const [left, right] = [low, Math.min(high, this.across[1])].map((v) => this.x(v));
    this.c.fillStyle = ink; this.c.fillRect(left, TOP, right - left, this.h - BOTTOM - TOP);
  }
  mark([x, y], words) {
    const [left, top] = [this.x(x), Math.max(this.y(y), TOP + 4)];
    this.c.fillStyle = colour("warm");
    this.c.beginPath(); this.c.arc(left, top, 4, 0, 7); this.c.fill();
    this.c.font = "600 12px system-ui, sans-serif"; this.c.textBaseline = "middle";
    const room = left < this.w - 110;
    this.c.textAlign = room ? "left" : "right";
    this.c.fillText(words, left + (room ? 10 : -10), top + 4);
  }
}

export const read = (v) => (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));
const pixels = (v) => (v === 0 ? "0" : `${Number(v.toPrecision(2))}`);

// 1, 2 or 5 times a power of ten, not below the value.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((m) => m * power >= value * 0.999);
}
