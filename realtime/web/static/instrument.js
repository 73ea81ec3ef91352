// The panel of the measurement: regions with their readings, unit, charts and downloads.

import { colour, download, formatNumber, formatShort, sizeOf } from "./plot.js";
import { Spectrum, bandAround } from "./spectrum.js";
import { Waveform } from "./waveform.js";

const $ = (id) => document.getElementById(id);
const SLOW_HZ = 4; // below it a frequency is shown per minute too
const SMALL_MM = 0.1; // lengths below it are shown in micrometres
const LEAST_SECONDS = 2; // of samples before it is said that there is no peak
const SUMMARY_MS = 5000; // between two summaries for screen readers
const IMAGE = { width: 1000, height: 300, ratio: 2, head: 40, row: 24, gap: 30 }; // of the chart's download

export class Instrument {
  // onError: called with the reason why a value is not accepted.
  constructor(connection, marks, settings, onError) {
    Object.assign(this, { connection, marks, settings, onError });
    this.colours = [];
    this.regions = []; // name and box, as the server sent them
    this.spectra = new Map();
    this.selected = ""; // name of a region
    this.unit = { factor: 1, name: "px" };
    this.frequencyUnit = { factor: 1, name: "Hz" };
    const setBand = (band) => connection.set({ band: settings.limitBand(band) });
    this.waveform = new Waveform($("waveform"));
    this.spectrum = new Spectrum($("spectrum"), setBand);
    Object.assign(this.spectrum, { rate: (hz) => this.rate(hz), strokeOf: (name) => this.strokeOf(name) });
    $("use-peak").addEventListener("click", () => setBand(bandAround(this.reading.peak[0])));
    for (const [id, chart] of [["waveform", this.waveform], ["spectrum", this.spectrum]]) {
      for (const [part, direction] of [["in", -1], ["out", 1]]) $(`${id}-${part}`).addEventListener("click", () => chart.step(direction));
      $(`${id}-all`).addEventListener("click", () => chart.reset());
    }
    $("add-region").addEventListener("click", () => marks.draw("region", (box) => this.add(box)));
    $("draw-length").addEventListener("click", () => marks.draw("length", (length) => this.askLength(length)));
    $("mm_per_px").addEventListener("change", () => this.setScale($("mm_per_px").value, 1, $("mm_per_px")));
    $("length").addEventListener("change", () => this.setScale($("length").value, this.pixels, $("length")));
    $("chart-image").addEventListener("click", () => this.saveImage());
    for (const button of document.querySelectorAll("#downloads [data-file]")) button.addEventListener("click", () => this.saveFile(button));
    marks.onSelect = (name) => this.select(name);
    marks.strokeOf = (name) => this.strokeOf(name);
  }

  // ---- settings --------------------------------------------------------------------------------

  // frequencyUnit: {factor, name}, where factor is the value of 1 Hz.
  showSettings(values, frequencyUnit) {
    this.frequencyUnit = frequencyUnit;
    this.spectrum.band = values.mode === "temporal" ? [values.fl, values.fh] : null;
    const scale = values.mm_per_px;
    this.unit = scale ? { factor: scale, name: "mm" } : { factor: 1, name: "px" };
    if (document.activeElement !== $("mm_per_px")) $("mm_per_px").value = scale ? formatShort(scale) : "";
    for (const id of ["waveform-unit", "spectrum-unit"]) $(id).textContent = this.unit.name;
    const names = ({ regions }) => JSON.stringify(regions);
    if (names(values) !== names(this) || !$("regions").children.length) {
      this.regions = values.regions;
      if (!this.regions.some(({ name }) => name === this.selected)) this.selected = this.regions.at(-1)?.name ?? "";
      this.listRegions();
    }
    this.marks.show(this.regions, this.selected);
    this.draw();
  }

  sendRegions(regions) { this.connection.set({ regions }); }

  add(box) {
    if (this.regions.length >= this.colours.length) {
      this.onError(`At most ${this.colours.length} regions can be measured: delete one first.`);
      return;
    }
    const letters = [..."ABCDEFGHIJ"], taken = this.regions.map(({ name }) => name);
    this.selected = letters.find((letter) => !taken.includes(letter)) ?? "";
    this.sendRegions([...this.regions, { name: this.selected, box }]);
  }

  // Measure a region under a given name, in place of an earlier one of this name.
  addNamed(name, box) {
    const others = this.regions.filter((each) => each.name !== name);
    if (others.length >= this.colours.length) return;
    this.selected = name;
    this.sendRegions([...others, { name, box }]);
  }

  rename(index, input) {
    const name = input.value.trim(), others = this.regions.filter((_, i) => i !== index);
    const allowed = /^[\p{L}\p{N}_][\p{L}\p{N}_ .+/()-]{0,39}$/u.test(name) && !others.some((each) => each.name === name);
    if (!allowed) {
      this.onError("A region needs a name of its own: letters, digits, spaces and .+-/()");
      input.value = this.regions[index].name;
      return;
    }
    if (this.selected === this.regions[index].name) this.selected = name;
    this.sendRegions(this.regions.map((each, i) => (i === index ? { ...each, name } : each)));
  }

  select(name) {
    this.selected = name;
    this.showSelection();
    this.marks.show(this.regions, name);
    this.showReading();
    this.draw();
  }

  // ---- scale -----------------------------------------------------------------------------------

  askLength(pixels) {
    this.pixels = pixels;
    $("length-part").hidden = false;
    $("length-pixels").textContent = formatNumber(pixels);
    $("length").value = "";
    $("length").focus();
  }

  setScale(text, pixels, input) {
    const value = Number(text) / pixels;
    if (!(value >= 0) || (value === 0 && text !== "") || input.validity.badInput) {
      this.onError("The scale must be a number above 0, or empty for pixels.");
      return;
    }
    this.connection.set({ mm_per_px: value || null });
    $("length-part").hidden = true;
    this.marks.clear();
  }

  // ---- list of regions -------------------------------------------------------------------------

  strokeOf(name) {
    const index = this.regions.findIndex((region) => region.name === name);
    return index < 0 ? colour("accent") : colour(`region-${index}`);
  }

  showColours(colours) {
    this.colours = colours;
    this.listRegions();
    this.draw();
  }

  listRegions() {
    $("add-region").disabled = this.regions.length >= this.colours.length && this.colours.length > 0;
    $("regions").replaceChildren(...this.regions.map(({ name }, index) => {
      const item = document.createElement("li"), pick = document.createElement("button");
      const input = document.createElement("input"), reading = document.createElement("output"), remove = document.createElement("button");
      item.style.setProperty("--stroke", `var(--region-${index})`);
      Object.assign(pick, { className: "swatch", ariaLabel: `Show region ${name}`, title: "Show in the charts" });
      Object.assign(input, { value: name, maxLength: 40, ariaLabel: `Name of region ${name}`, spellcheck: false });
      Object.assign(remove, { className: "remove", textContent: "×", ariaLabel: `Delete region ${name}`, title: "Delete" });
      item.addEventListener("click", ({ target }) => { if (target !== remove) this.select(name); });
      input.addEventListener("focus", () => this.select(name));
      input.addEventListener("change", () => this.rename(index, input));
      input.addEventListener("keydown", ({ key }) => {
        if (key === "Escape") input.value = name;
        if (key === "Enter" || key === "Escape") input.blur();
      });
      remove.addEventListener("click", () => this.sendRegions(this.regions.filter((each) => each.name !== name)));
      item.append(pick, input, reading, remove);
      return item;
    }));
    this.showSelection();
    this.showReading();
  }

  showSelection() {
    [...$("regions").children].forEach((item, index) => {
      const chosen = this.regions[index]?.name === this.selected;
      item.classList.toggle("chosen", chosen);
      item.querySelector(".swatch").setAttribute("aria-pressed", chosen);
    });
  }

  // ---- measured values -------------------------------------------------------------------------

  showMotion(parts) {
    this.waveform.show(parts);
    this.drawWaveform();
  }

  showSpectra(spectra) {
    this.spectra = new Map(spectra.map((each) => [each.name, each]));
    this.spectrum.regions = spectra;
    this.showReading();
    this.summarize();
    this.drawSpectrum();
  }

  // Spectrum, peaks and reading of the selected region, or of the only one.
  get measured() { return this.spectra.get(this.selected) ?? [...this.spectra.values()][0]; }
  get reading() { return this.measured?.reading; }

  showReading() {
    const { measured, reading } = this, several = this.regions.length > 1 ? `${this.selected}: ` : "";
    $("peak").classList.toggle("clear", Boolean(reading));
    $("peak").classList.toggle("held", Boolean(reading?.held));
    if (measured) $("peak").textContent = several + this.result(measured, true);
    $("use-peak").disabled = !reading;
    [...$("regions").children].forEach((item, index) => {
      const spectrum = this.spectra.get(this.regions[index]?.name);
      item.querySelector("output").textContent = this.result(spectrum);
      item.querySelector("output").classList.toggle("held", Boolean(spectrum?.reading?.held));
    });
  }

  // The reading of a region in words.
  result(spectrum, exact = false) {
    if (spectrum?.reading) return this.describe(spectrum.reading, exact);
    return spectrum?.seconds >= LEAST_SECONDS ? "no clear peak" : "measuring …";
  }

  // A peak in words, with the standard deviation of its amplitude if asked for.
  describe({ peak: [hz, px, , deviation] }, exact = false) {
    return `${this.rate(hz)} · ${this.length(px, exact ? deviation : 0)}`;
  }

  // A frequency in words; slow ones and those in other units than Hz are also per minute.
  rate(hz) {
    const perMinute = hz < SLOW_HZ || this.frequencyUnit.factor !== 1 ? ` · ${formatNumber(hz * 60)}/min` : "";
    return `${formatNumber(hz)} Hz${perMinute}`;
  }

  // A length in pixels in words, in the chosen unit, with its standard deviation unless that is 0.
  length(px, deviation = 0) {
    const inMm = px * this.unit.factor, small = this.unit.name === "mm" && inMm < SMALL_MM;
    const factor = this.unit.factor * (small ? 1000 : 1), value = px * factor, doubt = deviation * factor;
    const digits = doubt ? Math.min(Math.max(-Math.floor(Math.log10(doubt)), 0), 6) : Math.max(2 - Math.floor(Math.log10(value)), 0);
    return `${value.toFixed(digits)}${doubt ? ` ± ${doubt.toFixed(digits)}` : ""} ${small ? "µm" : this.unit.name}`;
  }

  // Describe both charts to screen readers. The summary is read aloud whenever it changes, so it
  // changes seldom.
  summarize() {
    const { measured, reading } = this;
    if (!measured) return;
    const found = reading ? `a peak of ${this.length(reading.peak[1])} at ${this.rate(reading.peak[0])}` : measured.seconds >= LEAST_SECONDS ? "no clear peak" : "not measured yet";
    const samples = this.waveform.samples, reach = (path) => this.length(Math.max(...path) - Math.min(...path) || 1e-4);
    if (samples?.t.length) {
      const recent = Math.max(samples.t.length - 1000, 0), [x, y] = [samples.x, samples.y].map((path) => path.slice(recent));
      $("waveform").ariaLabel = `Displacement of ${measured.name} over time: ${reach(x)} from left to right, ${reach(y)} up and down`;
    }
    $("spectrum").ariaLabel = `Spectrum of ${measured.name} from 0 to ${formatNumber(this.spectrum.highestHz)} Hz: ${found}`;
    if (!measured.step || Date.now() - (this.summarizedAt ?? 0) < SUMMARY_MS) return;
    this.summarizedAt = Date.now();
    const summary = `Measured motion: ${found}.`;
    if ($("summary").textContent !== summary) $("summary").textContent = summary;
  }

  // Forget the measured values, as the panel is closed.
  clear() {
    this.waveform.clear();
    this.spectra.clear();
    this.spectrum.regions = [];
    $("peak").textContent = "waveform and spectrum";
    $("peak").classList.remove("clear");
    $("summary").textContent = "";
    this.marks.cancel();
  }

  // ---- charts ----------------------------------------------------------------------------------

  drawWaveform(...canvas) {
    Object.assign(this.waveform, { selected: this.selected, unit: this.unit, stroke: this.strokeOf(this.selected) });
    this.waveform.draw(...canvas);
    document.querySelector("figcaption b.x").style.background = this.strokeOf(this.selected);
  }

  drawSpectrum(...canvas) {
    Object.assign(this.spectrum, { selected: this.selected, unit: this.unit, frequencyUnit: this.frequencyUnit });
    this.spectrum.draw(...canvas);
  }

  draw() {
    this.drawWaveform();
    this.drawSpectrum();
  }

  // Download a file that the server makes, or show why it cannot.
  async saveFile(button) {
    button.disabled = true;
    try {
      const answer = await fetch(button.dataset.file), [name, ending] = button.dataset.file.split(".");
      if (answer.ok) download(await answer.blob(), name, ending);
      else this.onError((await answer.json()).error);
    } catch {
      this.onError("The connection broke: the file was not made.");
    }
    button.disabled = false;
  }

  // Download both charts with the readings as one PNG file.
  saveImage() {
    const { width, height, ratio, head, row, gap } = IMAGE, rows = this.regions.length ? this.regions : [{ name: this.measured?.name ?? "" }];
    const image = document.createElement("canvas"), c = image.getContext("2d");
    const top = head + row * rows.length;
    [image.width, image.height] = [width * ratio, (top + 2 * (height + gap)) * ratio];
    c.scale(ratio, ratio);
    c.fillStyle = colour("card"); c.fillRect(0, 0, width, image.height);
    c.fillStyle = colour("text"); c.font = "600 16px system-ui, sans-serif";
    c.fillText(document.title, 14, 26);
    c.font = "14px system-ui, sans-serif";
    rows.forEach(({ name }, i) => {
      const reading = this.spectra.get(name)?.reading, y = head + row * i;
      c.fillStyle = this.strokeOf(name); c.fillRect(14, y + 4, 12, 12);
      c.fillStyle = colour("text"); c.fillText(`${name}   ${reading ? this.describe(reading, true) : "no clear peak"}`, 34, y + 15);
    });
    const captions = [`Displacement of ${this.measured?.name ?? ""} over time, ${this.unit.name}`, `Amplitude, ${this.unit.name}`];
    [(...each) => this.drawWaveform(...each), (...each) => this.drawSpectrum(...each)].forEach((draw, i) => {
      const chart = document.createElement("canvas"), y = top + i * (height + gap);
      draw(chart, { width, height, ratio });
      c.fillStyle = colour("muted"); c.fillText(captions[i], 14, y + 18);
      c.drawImage(chart, 0, y + gap, width, height);
    });
    image.toBlob((blob) => download(blob, "charts", "png"));
  }
}
