// The mixer: rows with waveforms, faders for each stem between the original and the new.
import { PEAKS, clock, element, secondsOf, wave } from "./wave.js";
import { Player, RATE, SEGMENT } from "./playback.js";
import { Levels } from "./levels.js";
import { bytes, call } from "./api.js";

const by = (id) => document.getElementById(id);
const partOf = (track) => track.name.replace(/^(new|dry)-/, "");
const decibels = (db) => 10 ** (db / 20);

export class Mixer {
  constructor(say) {
    this.say = say;
    this.job = null;
    this.stems = []; // {name, dry, news: [track], mute, solo, gain, fade, parts: {}}
    this.original = false;
    this.waves = new Map(); // track -> its waveform
    this.levels = null;
    this.showing = Promise.resolve();
    this.player = new Player((name, number) => bytes(`api/jobs/${this.job.id}/tracks/${name}/${number}`));
    this.player.addEventListener("change", () => this.showTransport());
    this.player.addEventListener("failed", (event) => say(event.detail.message));
    by("play").addEventListener("click", () => this.toggle());
    by("ab").addEventListener("click", () => this.compare());
    by("loop").addEventListener("click", () => this.toggleLoop());
    by("position").addEventListener("input", (event) => this.player.seek(event.target.value * RATE));
    by("zoom").addEventListener("input", () => this.zoom());
    by("timeline").addEventListener("click", (event) => {
      if (event.target.closest("button, input")) return;
      this.player.seek(this.sampleAt(event.clientX));
    });
    new ResizeObserver(() => this.zoom()).observe(by("timeline"));
    document.addEventListener("keydown", (event) => this.key(event));
    this.draw = this.draw.bind(this);
    requestAnimationFrame(this.draw);
  }

  get frames() { return this.player.frames; }
  get seconds() { return this.frames / RATE; }

  key(event) {
    if (by("result").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=range]):not([type=radio]):not([type=checkbox]), select, textarea, summary, a")) return;
    const range = event.target.closest("input");
    if (event.key === " " && !event.target.closest("button, input")) this.toggle();
    else if (event.key === "a" || event.key === "A") this.compare();
    else if (event.key === "l" || event.key === "L") this.toggleLoop();
    else if (event.key === "ArrowLeft" && !range && !event.target.closest("button[data-time]")) this.player.seek(this.player.position() - 5 * RATE);
    else if (event.key === "ArrowRight" && !range && !event.target.closest("button[data-time]")) this.player.seek(this.player.position() + 5 * RATE);
    else return;
    event.preventDefault();
  }

  // Shows a job as far as its tracks are there; one state after the other.
  show(job) {
    const other = this.job?.id !== job.id;
    this.job = job;
    if (other) this.clear(job);
    const shown = this.showing.catch(() => {}).then(() => this.update(job));
    this.showing = shown;
    return shown;
  }

  async update(job) {
    for (const track of job.tracks) {
      if (this.job.id !== job.id) return;
      const known = this.tracks.get(track.name);
      if (known && known.segments === track.segments && known.done === track.done) continue;
      const whole = await call("GET", `api/jobs/${job.id}/tracks/${track.name}`);
      if (this.job.id !== job.id) return;
      this.tracks.set(track.name, whole);
      if (known) this.grow(whole);
      else this.add(whole);
    }
    if (job.levels && !this.levels) {
      const data = await bytes(`api/jobs/${job.id}/levels`);
      if (this.job.id !== job.id) return;
      this.levels = new Levels(job.levels, new Float32Array(data));
      // What was said of tracks while they grew may have been corrected.
      this.stems = [];
      for (const track of job.tracks) if (!["mix", "original"].includes(track.name)) this.stem(track);
      this.usesStems = this.stems.some((stem) => stem.news.length || stem.dry);
      if (this.usesStems) this.makeUp = decibels(this.levels.loudness({ mix: 1 }) - this.levels.loudness(this.mixGains(true)));
      if (!Number.isFinite(this.makeUp)) this.makeUp = 1; // of silence
      this.player.ready = Infinity;
      this.player.seek(this.player.position()); // from now on the stems are heard
      this.apply();
      this.showFaders();
    }
  }

  clear(job) {
    this.tracks = new Map();
    this.stems = [];
    this.levels = null;
    this.usesStems = false;
    this.makeUp = 1;
    this.original = false;
    for (const one of this.waves.values()) one.destroy();
    this.waves.clear();
    by("rows").replaceChildren();
    by("faders").replaceChildren();
    this.player.set([], 0);
    this.name = job.name;
  }

  add(track) {
    this.player.add(track);
    if (track.name === "original" || track.name === "mix") {
      this.player.frames = Math.max(this.player.frames, track.frames);
      this.row(track.name === "mix" ? "new" : "original", track, track.name === "original");
      this.showTransport();
    } else {
      const part = partOf(track);
      this.row(track.role === "dry" ? `${part}, original` : part, track, track.role === "dry");
      this.stem(track);
      this.showFaders();
    }
    this.whatIsThere();
    this.apply();
  }

  // A track that was there in part.
  grow(track) {
    this.player.grow(track);
    this.waves.get(track.name)?.load("", [Float32Array.from(this.peaks(track), (one) => one / 127)], this.seconds).catch(() => {});
    this.whatIsThere();
    this.apply();
  }

  // Peaks of a track as long as the song; what is not there yet is silent.
  peaks(track) {
    const missing = Math.round(this.seconds * PEAKS) - track.peaks.length;
    return missing > 0 ? [...track.peaks, ...new Array(missing).fill(0)] : track.peaks;
  }

  // Until the mix is written, one hears the stems that are made anew, as far as they are there.
  whatIsThere() {
    if (this.levels) return;
    const before = Object.keys(this.mixGains()).join();
    const news = [...this.tracks.values()].filter((track) => track.role === "new");
    this.sketch = !this.tracks.has("mix") && news.some((track) => track.segments > 0);
    this.player.ready = this.sketch ? Math.min(...[...this.tracks.values()].filter((track) => track.segments > 0 && !track.done).map((track) => track.segments * SEGMENT)) : Infinity;
    // What is heard from now on was not scheduled.
    if (Object.keys(this.mixGains()).join() !== before) {
      this.apply();
      this.player.seek(this.player.position());
    }
  }

  stem(track) {
    const part = partOf(track);
    const name = track.stem || part;
    let stem = this.stems.find((one) => one.name === name);
    if (!stem) {
      stem = { name, dry: null, news: [], mute: false, solo: false, gain: 0, first: 0, fade: 1, kept: false, parts: {} };
      this.stems.push(stem);
    }
    if (track.role === "dry") stem.dry = track;
    else stem.news.push(track);
    stem.kept = Boolean(track.kept) || stem.kept;
    if (track.role === "new") stem.parts[part] = { mute: false, gain: track.gain_db, first: track.gain_db };
    else if (stem.kept) stem.gain = stem.first = track.gain_db;
  }

  row(title, track, dry) {
    const box = element("div", { class: "wave" });
    const made = element("div", { class: "row", "data-track": track.name, "data-stem": track.stem }, element("span", { class: "name" }, title), box);
    // What a stem was stands below what it became.
    const rows = [...by("rows").children];
    const like = track.stem ? rows.filter((one) => one.dataset.stem === track.stem).at(-1) : rows.find((one) => one.dataset.track === "original");
    if (track.name === "original") by("rows").prepend(made);
    else if (like) like.after(made);
    else by("rows").append(made);
    const peaks = this.peaks(track);
    this.waves.set(track.name, wave(box, peaks, secondsOf(peaks), { dry, height: 40 }));
  }

  // Linear gains of tracks as the faders are set; `untouched`: as they were at first.
  mixGains(untouched = false) {
    if (!this.usesStems && !this.sketch) return this.tracks.has("mix") ? { mix: 1 } : { original: 1 };
    const found = {};
    const solo = !untouched && this.stems.some((stem) => stem.solo);
    for (const stem of this.stems) {
      const on = untouched || (!stem.mute && (!solo || stem.solo));
      const level = on ? decibels(untouched ? stem.first : stem.gain) : 0;
      const fade = untouched ? 1 : stem.fade;
      if (stem.kept || !this.fades(stem)) {
        if (stem.dry && (stem.kept || !stem.news.length)) found[stem.dry.name] = stem.kept ? level : 0;
      } else found[stem.dry.name] = level * Math.cos(fade * Math.PI / 2);
      for (const track of stem.news) {
        const part = stem.parts[partOf(track)];
        const own = untouched ? decibels(part.first) : part.mute ? 0 : decibels(part.gain);
        found[track.name] = level * own * (this.fades(stem) ? Math.sin(fade * Math.PI / 2) : 1);
      }
    }
    return found;
  }

  fades(stem) { return Boolean(stem.dry) && !stem.kept; }

  get untouched() {
    return this.stems.every((stem) => !stem.mute && !stem.solo && stem.gain === stem.first && stem.fade === 1
      && Object.values(stem.parts).every((part) => !part.mute && part.gain === part.first));
  }

  // Gains of the mix at the song's loudness.
  finalGains() {
    const gains = this.mixGains();
    for (const name of Object.keys(gains)) gains[name] *= this.usesStems ? this.makeUp : 1;
    return gains;
  }

  // The original is heard as loud as the mix is, as it is set.
  apply() {
    const mix = this.finalGains();
    let loudness = 1;
    if (this.levels) {
      const level = this.levels.loudness(mix) - this.levels.loudness({ original: 1 });
      if (Number.isFinite(level)) loudness = decibels(Math.max(-40, Math.min(level, 20)));
    }
    const down = Math.max(1, loudness);
    if (this.original) this.player.gains({ original: loudness / down });
    else this.player.gains(Object.fromEntries(Object.entries(mix).map(([name, gain]) => [name, gain / down])));
    for (const row of by("rows").children) {
      const on = this.hidden || this.original ? row.dataset.track === "original" : (mix[row.dataset.track] || 0) > 1e-4 || (row.dataset.track === "mix");
      row.querySelector(".wave").style.opacity = on ? 1 : 0.45;
    }
    this.changed?.();
  }

  showFaders() {
    by("faders").replaceChildren(...(this.usesStems ? this.stems.flatMap((stem) => this.fader(stem)) : [element("p", { class: "hint" }, this.levels ? "This version has no stems to mix." : "Faders for the stems come when all of them are there.")]));
  }

  fader(stem) {
    const press = (text, key, title) => element("button", {
      type: "button", "aria-pressed": String(stem[key]), "aria-label": `${title} ${stem.name}`,
      onclick: (event) => {
        stem[key] = !stem[key];
        event.currentTarget.setAttribute("aria-pressed", String(stem[key]));
        this.apply();
      },
    }, text);
    const rows = [element("div", { class: "fader" },
      element("h3", {}, stem.name + (stem.kept ? " (the song's own)" : "")),
      element("span", {}, press("Mute", "mute", "Mute"), " ", press("Solo", "solo", "Solo")),
      this.slider(`Gain of ${stem.name}`, "Gain", -30, 12, 0.5, stem.gain, (value) => { stem.gain = value; }, (value) => `${value > 0 ? "+" : ""}${value} dB`),
      this.fades(stem) ? this.slider(`${stem.name}: from the original to the new`, "Original – new", 0, 1, 0.01, stem.fade, (value) => { stem.fade = value; }, (value) => `${Math.round(100 * value)} %`) : element("span", {}))];
    if (stem.news.length > 1 || stem.news.some((track) => track.gain_db)) for (const track of stem.news) {
      const name = partOf(track);
      const part = stem.parts[name];
      rows.push(element("div", { class: "fader" }, element("span", { class: "sub" }, name),
        element("span", {}, element("button", {
          type: "button", "aria-pressed": String(part.mute), "aria-label": `Mute ${name}`,
          onclick: (event) => {
            part.mute = !part.mute;
            event.currentTarget.setAttribute("aria-pressed", String(part.mute));
            this.apply();
          },
        }, "Mute")),
        this.slider(`Gain of ${name}`, "Gain", -30, 12, 0.5, part.gain, (value) => { part.gain = value; }, (value) => `${value > 0 ? "+" : ""}${value} dB`), element("span", {})));
    }
    return rows;
  }

  slider(title, text, min, max, step, value, set, shown) {
    const output = element("output", {}, shown(value));
    return element("label", {}, element("span", {}, text), element("input", {
      type: "range", min, max, step, value, "aria-label": title, "aria-valuetext": shown(value),
      oninput: (event) => {
        const now = Number(event.target.value);
        set(now);
        output.textContent = shown(now);
        event.target.setAttribute("aria-valuetext", shown(now));
        this.apply();
      },
    }), output);
  }

  toggle() {
    if (this.player.playing) this.player.pause();
    else this.player.play().catch((error) => this.say(error.message));
  }

  compare() {
    this.hidden = false;
    this.original = !this.original;
    by("ab").setAttribute("aria-pressed", String(this.original));
    this.apply();
  }

  toggleLoop() {
    if (this.player.loop) this.player.setLoop(null);
    else {
      const at = this.player.position();
      const start = Math.max(0, Math.min(at, this.frames - 8 * RATE));
      this.player.setLoop({ start, end: Math.min(this.frames, start + 8 * RATE) });
    }
    this.showTransport();
  }

  showTransport() {
    by("play").textContent = this.player.playing ? "Pause" : "Play";
    by("ab").setAttribute("aria-pressed", String(this.original && !this.hidden));
    by("loop").setAttribute("aria-pressed", String(Boolean(this.player.loop)));
    by("position").max = this.seconds || 1;
    this.shownAt = -1;
  }

  get width() { return by("rows").clientWidth || 1; }

  zoom() {
    const per = Number(by("zoom").value);
    const inner = Math.max(by("timeline").clientWidth, per ? per * this.seconds : 0);
    for (const id of ["rows", "sheet"]) by(id).style.width = `${inner}px`;
    this.shownAt = -1;
  }

  sampleAt(x) {
    const box = by("rows").getBoundingClientRect();
    return (x - box.left) / box.width * this.frames;
  }

  draw() {
    requestAnimationFrame(this.draw);
    if (by("result").hidden || !this.frames) return;
    const at = this.player.position();
    if (at === this.shownAt) return;
    this.shownAt = at;
    const place = at / this.frames * this.width;
    by("playhead").style.transform = `translateX(${place}px)`;
    const second = Math.floor(at / RATE * 4);
    if (second !== this.shownSecond) {
      this.shownSecond = second;
      by("time").textContent = `${clock(at / RATE)} / ${clock(this.seconds)}`;
      by("position").value = at / RATE;
      by("position").setAttribute("aria-valuetext", `${clock(at / RATE)} of ${clock(this.seconds)}`);
    }
  }
}
