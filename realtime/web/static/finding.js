// The list of what moves: started by a button, filled by the server; a click on a line shows it.

import { bandAround } from "./spectrum.js";

const $ = (id) => document.getElementById(id);
const SIDE = 1 / 6; // of the picture's height: side of the region that a line is measured in

export class Finding {
  // open: opens the panel that the list is in.
  constructor(connection, instrument, picture, open) {
    Object.assign(this, { connection, instrument, picture });
    this.shown = ""; // the list as it is on the page
    $("find").addEventListener("click", () => {
      connection.set({ finding: !this.active });
      open();
      $("found").scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
  }

  showStatus({ finding, found }) {
    this.active = finding != null;
    $("find").setAttribute("aria-pressed", this.active);
    $("find").querySelector("span").textContent = this.active ? "Stop" : "Find";
    $("found").hidden = !this.active && !found;
    $("found-state").textContent = this.active
      ? `Looking for what moves: ${Math.round(finding)} s${found?.length ? ", click a line" : " …"}`
      : found?.length ? "Found: click a line to magnify and measure it" : "Nothing stands above the noise.";
    const list = JSON.stringify([found, this.instrument.unit]);
    const inUse = $("lines").matches(":hover, :focus-within") && found?.length;
    if (list === this.shown || inUse) return; // a line must not move away from under a finger
    this.shown = list;
    $("lines").replaceChildren(...(found ?? []).map((line) => this.item(line)));
  }

  item(line) {
    const item = document.createElement("li"), button = document.createElement("button");
    const { hz, px, share, real, note } = line, { instrument } = this;
    const parts = [["b", instrument.rate(hz)], ["span", instrument.length(px)], ["span", `${share < 0.01 ? "< 1" : Math.round(100 * share)} % of the picture`]];
    button.append(...parts.map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text })));
    if (note) button.append(Object.assign(document.createElement("small"), { textContent: note, title: note }));
    button.classList.toggle("doubtful", !real);
    button.addEventListener("click", () => this.choose(line));
    item.append(button);
    return item;
  }

  // Magnify a band around a line, and measure the place where it is largest.
  choose({ hz, at }) {
    const { instrument, connection, picture } = this;
    connection.set({ finding: false, band: instrument.settings.limitBand(bandAround(hz)) });
    const side = Math.round(Math.max(SIDE * picture.size[1], 32));
    const corner = at.map((v, i) => Math.round(Math.min(Math.max(v - side / 2, 0), Math.max(picture.size[i] - side, 0))));
    instrument.addNamed(`${Number(hz.toPrecision(4))} Hz`, [...corner, side, side]);
  }
}
