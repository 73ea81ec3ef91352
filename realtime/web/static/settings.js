// The settings: shows what is in force on the server, and sends what the user changes.
// A control keeps the user's edit until the server has had time to answer. After that it shows what
// is in force, so a refused or limited value does not stay.

import { formatShort } from "./plot.js";

const $ = (id) => document.getElementById(id);
const MODE_HINTS = {
  static: "All motion relative to the reference picture.",
  dynamic: "Motion from one frame to the next.",
  temporal: "Motion in a band of frequencies.",
};
const LAYOUT_HINTS = { side: "Side by side", map: "Amplitude of the motion in the band, over the original" };
const PER_HZ = { Hz: 1, bpm: 60, rpm: 60 };
const LOWEST_HZ = 0.05; // left end of the band's sliders
const SLOW_HZ = 4; // bands below it are shown per minute too, as breath and pulse are
const HOLD_MS = 400; // after an edit, in which a control waits for the server's answer
const THUMBS_APART = 20; // steps of 1000 between the edges of the band

export class Settings {
  // onRefusal: called with the reason why a value is not accepted.
  constructor(connection, picture, onRefusal) {
    Object.assign(this, { connection, picture, onRefusal });
    this.onShow = () => {}; // called with the values and the unit of frequencies
    this.values = {}; // in force, as the server sent them
    this.frameRate = 30;
    this.edits = {}; // time of the user's last edit of each control, by id
    this.typing = new Set(); // number inputs with text that is not sent yet
    this.addNumbers();
    this.addSliders();
    this.addBand();
    for (const id of ["preset", "mode", "layout", "motion_scale"]) {
      $(id).addEventListener("click", ({ target }) => {
        if (target.value) connection.set({ [id]: id === "motion_scale" ? Number(target.value) : target.value });
      });
    }
    this.onEdit("unit", "change", (select) => connection.set({ unit: select.value }));
  }

  // ---- show ------------------------------------------------------------------------------------

  showPresets(presets) {
    $("preset").replaceChildren(...Object.entries(presets).map(([name, { why }]) => {
      const button = document.createElement("button");
      Object.assign(button, { value: name, textContent: name, title: why });
      return button;
    }));
    this.show(this.values);
  }

  showLayouts(layouts) {
    $("layout").replaceChildren(...layouts.map((name) => {
      const button = document.createElement("button");
      return Object.assign(button, { value: name, textContent: name, title: LAYOUT_HINTS[name] ?? "" });
    }));
    this.show(this.values);
  }

  showFrameRate(rate) {
    if (Math.abs(rate / this.frameRate - 1) < 0.05) return;
    this.frameRate = rate;
    this.show(this.values);
  }

  show(values) {
    this.values = values;
    if (values.alpha === undefined) return;
    this.setValue("unit", values.unit);
    this.showAlpha();
    this.showBand();
    this.setValue("drift", values.drift ?? "");
    for (const id of ["mode", "layout", "motion_scale", "preset"]) markPressed(id, String(values[id]));
    $("mode-hint").textContent = MODE_HINTS[values.mode];
    $("drift-part").hidden = values.mode !== "static";
    $("band-part").hidden = values.mode !== "temporal";
    $("scale-part").hidden = values.motion_scale === null;
    showSwitch("pause", values.paused, values.paused ? "Resume" : "Pause");
    $("pause").querySelector("use").setAttribute("href", values.paused ? "#i-play" : "#i-pause");
    showSwitch("record", values.recording, values.recording ? "Stop" : "Record");
    $("compare").setAttribute("aria-pressed", values.original);
    $("reset-region").hidden = !values.region;
    this.picture.showSettings({ ...values });
    this.onShow(values, { factor: PER_HZ[values.unit], name: unitName(values.unit) });
  }

  // Show what is in force in every control, and say why an edit had no effect.
  refuse(reason) {
    this.edits = {};
    this.typing.clear();
    this.show(this.values);
    this.onRefusal(reason);
  }

  showAlpha() {
    const { alpha } = this.values, rounded = Number(alpha.toPrecision(3));
    this.setValue("alpha", rounded);
    this.setValue("alpha-slide", (1000 * Math.log10(Math.max(Math.abs(alpha), 1))) / 3);
    fillAlphaSlider();
    $("alpha-slide").setAttribute("aria-valuetext", `${rounded} times`);
  }

  showBand() {
    const { unit, fl, fh } = this.values, factor = PER_HZ[unit], name = unitName(unit);
    for (const edge of ["fl", "fh"]) {
      const value = this.values[edge] * factor;
      this.setValue(edge, Number(value.toPrecision(3)));
      this.setValue(`${edge}-slide`, this.sliderOf(this.values[edge]));
      $(`${edge}-slide`).setAttribute("aria-valuetext", `${formatShort(value)} ${name}`);
    }
    fillBandSlider();
    const range = (scale) => `${formatShort(fl * scale)} to ${formatShort(fh * scale)}`;
    const same = unit !== "Hz" ? `${range(1)} Hz. ` : fh < SLOW_HZ ? `${range(60)} per minute. ` : "";
    $("band-hint").textContent = `${same}Must be below ${formatShort((this.frameRate / 2) * factor)} ${name}, half the frame rate.`;
  }

  // Show the server's value in a control, unless the user is editing it.
  setValue(id, value) {
    const band = ["fl", "fh"].includes(id) && (this.typing.has("fl") || this.typing.has("fh"));
    if (band || this.typing.has(id) || Date.now() - (this.edits[id] ?? 0) < HOLD_MS) return;
    $(id).value = value;
  }

  // ---- change ----------------------------------------------------------------------------------

  onEdit(id, type, handle) {
    $(id).addEventListener(type, () => {
      this.edits[id] = Date.now();
      clearTimeout(this.settle);
      this.settle = setTimeout(() => this.show(this.values), HOLD_MS + 50);
      handle($(id));
    });
  }

  addNumbers() {
    for (const input of document.querySelectorAll("input[type=number]")) {
      input.addEventListener("input", () => this.typing.add(input.id));
      input.addEventListener("keydown", ({ key }) => {
        if (key === "Escape") {
          this.typing.delete(input.id);
          this.show(this.values);
        }
        if (key === "Enter" || key === "Escape") input.blur();
      });
    }
    this.onNumber("alpha", "Magnification", (alpha) => this.connection.set({ alpha }));
    this.onNumber("drift", "The rate", (drift) => this.connection.set({ drift: drift || null }));
  }

  // Send a number if it is allowed. An empty input is 0 if it has a placeholder for that.
  onNumber(id, name, send) {
    this.onEdit(id, "change", (input) => {
      this.typing.delete(id);
      const missing = input.value === "" && (!input.placeholder || input.validity.badInput);
      if (!missing && input.validity.valid) send(Number(input.value));
      else this.refuse(`${name} must be a number from ${input.min} to ${input.max}.`);
    });
  }

  addSliders() {
    this.onEdit("alpha-slide", "input", (slider) => {
      const sign = this.values.alpha < 0 ? -1 : 1, alpha = sign * 10 ** ((slider.value / 1000) * 3);
      this.edits.alpha = this.edits["alpha-slide"];
      $("alpha").value = Number(alpha.toPrecision(3));
      fillAlphaSlider();
      this.connection.set({ alpha });
    });
    for (const [id, other, sign] of [["fl-slide", "fh-slide", -1], ["fh-slide", "fl-slide", 1]]) {
      this.onEdit(id, "input", (slider) => {
        const apart = sign * (slider.value - $(other).value);
        if (apart < THUMBS_APART) slider.value = Number($(other).value) + sign * THUMBS_APART;
        fillBandSlider();
        this.connection.set({ band: [this.hzOf($("fl-slide").value), this.hzOf($("fh-slide").value)] });
      });
    }
  }

  // The edges of a band are checked together: the first one may be above the old second one.
  addBand() {
    for (const id of ["fl", "fh"]) this.onEdit(id, "change", () => this.sendBand());
    $("band-fields").addEventListener("focusout", ({ relatedTarget }) => {
      const inside = relatedTarget?.id === "fl" || relatedTarget?.id === "fh";
      if (!inside && (this.typing.has("fl") || this.typing.has("fh")) && !this.sendBand()) {
        this.refuse("The lower edge must be above 0 and below the upper edge.");
      }
    });
  }

  // Send the band of the two inputs; return false if it is not one.
  sendBand() {
    const [low, high] = ["fl", "fh"].map((id) => Number($(id).value) / PER_HZ[this.values.unit]);
    if (!(low > 0 && low < high)) return false;
    this.typing.delete("fl");
    this.typing.delete("fh");
    this.connection.set({ band: [low, high] });
    return true;
  }

  // ---- scales ----------------------------------------------------------------------------------

  // The server's limit is half of the frame rate, whose estimate varies a little.
  get highestHz() { return 0.47 * this.frameRate; }
  hzOf(step) { return LOWEST_HZ * (this.highestHz / LOWEST_HZ) ** (step / 1000); }
  sliderOf(hz) { return (1000 * Math.log(hz / LOWEST_HZ)) / Math.log(this.highestHz / LOWEST_HZ); }

  // A band, moved down if the frame rate is too low for it.
  limitBand(band) { return band.map((hz) => hz * Math.min(1, this.highestHz / band[1])); }
}

const unitName = (unit) => (unit === "Hz" ? unit : unit.toUpperCase());

function markPressed(id, value) {
  for (const button of $(id).children) button.setAttribute("aria-pressed", button.value === value);
}

function showSwitch(id, on, text) {
  $(id).dataset.on = on;
  $(id).querySelector("span").textContent = text;
}

function fillAlphaSlider() { $("alpha-slide").style.setProperty("--part", `${$("alpha-slide").value / 10}%`); }

function fillBandSlider() {
  const [low, high] = [$("fl-slide").value, $("fh-slide").value].map(Number);
  $("band-span").style.left = `${low / 10}%`;
  $("band-span").style.width = `${Math.max(high - low, 0) / 10}%`;
}
