// The song and what is asked for it: choose, crop, style, strength, stems.
import { call, upload } from "./api.js";
import { clock, element, wave } from "./wave.js";
import Regions from "./regions.js";

const STEMS = ["drums", "bass", "other", "vocals"];
const PREVIEW = 15;
const by = (id) => document.getElementById(id);

const HOW = {
  auto: ["As the style does best", "what each style takes by itself"],
  cover: ["Cover", "the style's band plays the song"],
  timbre: ["Timbre", "the song's own notes, with the sound of other instruments"],
  network: ["New notes", "a network changes the notes"],
};

export class Setup {
  // `start` takes a request, `chosen` a song or null.
  constructor(start, say, chosen) {
    this.start = start;
    this.say = say;
    this.chosen = chosen;
    this.styles = [];
    this.song = null;
    this.wave = null;
    this.region = null;
    const drop = by("drop");
    for (const kind of ["dragover", "dragenter"]) document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => drop.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      const { files } = event.dataTransfer;
      if (files.length > 1) this.say("One song at a time: drop a single file.");
      else if (files.length) this.upload(files[0]);
    });
    by("file").addEventListener("change", (event) => {
      if (event.target.files[0]) this.upload(event.target.files[0]);
      event.target.value = "";
    });
    by("demo").addEventListener("click", () => this.take(() => call("POST", "api/songs/demo")));
    by("other-song").addEventListener("click", () => this.show(null));
    by("strength").addEventListener("input", () => this.showStrength());
    by("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(true);
    });
    by("whole").addEventListener("click", () => by("form").reportValidity() && this.send(false));
    for (const id of ["crop-start", "crop-end"]) by(id).addEventListener("change", () => this.cropped(Number(by("crop-start").value), Number(by("crop-end").value)));
  }

  async load() {
    this.styles = await call("GET", "api/styles");
  }

  upload(file) {
    this.take((show, signal) => upload(`api/songs?name=${encodeURIComponent(file.name)}`, file, show, signal));
  }

  // `request` is given a function that shows the share that is sent, and a signal to stop.
  async take(request) {
    if (by("drop").hasAttribute("aria-busy")) return;
    this.say("");
    by("drop").setAttribute("aria-busy", "true");
    for (const button of by("drop").querySelectorAll("button, input")) button.disabled = true;
    const stop = new AbortController();
    const told = element("span", { role: "status" }, "The song is being read …");
    const cancel = element("button", { type: "button", onclick: () => stop.abort() }, "Cancel");
    const waiting = element("p", {}, told, " ", cancel);
    by("drop").append(waiting);
    const show = (share) => {
      told.textContent = share < 1 ? `The song is being sent, ${Math.round(100 * share)} %` : "The song is being read …";
    };
    try {
      const song = await request(show, stop.signal);
      if (stop.signal.aborted) throw new Error("Cancelled.");
      this.show(song);
      by("preview").focus();
    } catch (error) {
      this.say(error.message);
    } finally {
      waiting.remove();
      by("drop").removeAttribute("aria-busy");
      for (const button of by("drop").querySelectorAll("button, input")) button.disabled = false;
    }
  }

  show(song) {
    this.song = song;
    this.chosen(song);
    by("drop").hidden = Boolean(song);
    by("chosen").hidden = !song;
    by("request").hidden = !song;
    this.wave?.destroy();
    this.wave = null;
    if (!song) {
      by("demo").focus();
      return;
    }
    by("song-name").textContent = song.name;
    by("song-length").textContent = clock(song.seconds) + (song.notices?.length ? ` – ${song.notices.join("; ")}` : "");
    by("crop").hidden = by("whole").hidden = song.kind !== "audio";
    by("preview").textContent = song.kind === "audio" ? "Preview 15 s" : "Whole song"; // MIDI is not cut
    for (const [id, value] of [["crop-start", 0], ["crop-end", song.seconds]]) {
      by(id).max = song.seconds.toFixed(2);
      by(id).value = value.toFixed(1);
    }
    if (song.kind === "audio") this.drawCrop(song);
    this.showModes();
  }

  drawCrop(song) {
    const regions = Regions.create();
    this.wave = wave(by("crop-wave"), song.peaks, song.seconds, { height: 64, plugins: [regions] });
    this.region = null;
    regions.enableDragSelection({ color: "rgba(31, 95, 168, 0.25)" });
    regions.on("region-created", (region) => {
      if (this.region && this.region !== region) this.region.remove();
      this.region = region;
      this.fields(region);
    });
    regions.on("region-updated", (region) => this.fields(region));
    this.regions = regions;
  }

  fields(region) {
    by("crop-start").value = region.start.toFixed(1);
    by("crop-end").value = Math.min(region.end, this.song.seconds).toFixed(1);
  }

  cropped(start, end) {
    if (!this.regions || !(end > start)) return;
    if (this.region) this.region.setOptions({ start, end });
    else this.regions.addRegion({ start, end, color: "rgba(31, 95, 168, 0.25)" });
  }

  kind() { return this.song?.kind === "midi" ? "midi" : "audio"; }

  showModes() {
    const kind = this.kind();
    const has = new Set(this.styles.flatMap((style) => style[kind]?.modes || []));
    const box = by("modes");
    box.replaceChildren(element("legend", {}, "How"), element("div", { class: "choices" }, ...["auto", "cover", "timbre", "network"].filter((mode) => mode === "auto" || has.has(mode)).map((mode) => element("label", {},
      element("input", { type: "radio", name: "mode", value: mode, checked: mode === "auto", onchange: () => this.showStyles() }),
      ` ${HOW[mode][0]} `, element("span", { class: "hint" }, `(${HOW[mode][1]})`)))));
    this.showStyles();
    by("stem-choices").replaceChildren(...(kind === "midi" ? ["pitched", "drums"] : STEMS).map((stem) => element("label", {}, `${stem} `,
      element("select", { name: stem, "data-stem": stem },
        element("option", { value: "" }, "as the style does"),
        element("option", { value: "keep" }, "keep"),
        element("option", { value: "mute" }, "mute"),
        ...(kind === "midi" ? [] : [element("option", { value: "timbre" }, "timbre"), element("option", { value: "cover" }, "cover")])))));
    this.showStrength();
  }

  mode() { return by("form").elements.mode?.value || "auto"; }

  showStyles() {
    const kind = this.kind();
    const before = by("form").elements.style?.value;
    const mode = this.mode();
    const fitting = this.styles.filter((style) => style[kind] && (mode === "auto" || style[kind].modes.includes(mode)));
    const chosen = fitting.some((style) => style.name === before) ? before : (fitting.find((style) => style.name === "jazz") || fitting[0])?.name;
    by("styles").replaceChildren(element("legend", {}, "In the style of"), element("div", { class: "cards" }, ...fitting.map((style) => {
      const taken = mode === "auto" ? style[kind].auto || style[kind].modes[0] : mode;
      const seconds = Math.max(5, this.song.seconds * (style.takes[taken] || 0.1));
      return element("label", { class: "card" },
        element("input", { type: "radio", name: "style", value: style.name, checked: style.name === chosen }), " ",
        element("b", {}, style.name), element("small", {}, style[kind].about),
        element("small", {}, `${taken}; the whole song takes about ${clock(seconds)}`));
    })));
    by("lead-field").hidden = mode === "timbre" || mode === "network";
  }

  showStrength() {
    by("strength-value").textContent = `${by("strength").value} %`;
  }

  // What is asked for, as the API takes it.
  request(preview) {
    const form = by("form").elements;
    const wanted = { song: this.song.id, style: form.style.value, mode: this.mode(), strength: Number(by("strength").value) / 100, seed: Number(by("seed").value || 0) };
    const stems = Object.fromEntries([...document.querySelectorAll("[data-stem]")].filter((one) => one.value).map((one) => [one.dataset.stem, one.value]));
    if (Object.keys(stems).length) wanted.stems = stems;
    if (by("lead").value && !by("lead-field").hidden) wanted.lead = by("lead").value;
    if (this.kind() === "audio") {
      const start = Number(by("crop-start").value);
      const end = Number(by("crop-end").value);
      const whole = this.song.seconds;
      if (start > 0.05) wanted.start = start;
      if (end < whole - 0.1) wanted.end = end;
      if (preview && end - start > PREVIEW) wanted.preview = true;
    }
    return wanted;
  }

  send(preview) {
    this.start(this.request(preview));
  }
}
